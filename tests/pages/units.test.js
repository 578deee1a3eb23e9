// What the builder's modules compute, without a browser.
import assert from 'node:assert/strict'
import { test } from 'node:test'

const load = name => import(`../../src/web/assets/${name}.mjs`)
const { Num, asText, compact, parse, print } = await load('json')
const { toCount, toMinorUnit, toMoney } = await load('money')
const { copyPlan, featureNames, isObject, kind, nextVersion, ofKind, plans, rename, renameFeature, set } = await load('model')
const { History } = await load('history')
const { moved, withAnother } = await load('tiers')

test('money is shown in its currency, and no digit is lost', () => {
  for (const [amount, decimals, money] of [
    ['0', 2, '0.00'],
    ['1000', 2, '10.00'],
    ['1e3', 2, '10.00'],
    ['0.5', 2, '0.005'],
    ['5e-7', 2, '0.000000005'],
    ['1200', 0, '1200'],
    ['1250', 3, '1.250'],
    ['0.000000000001', 0, '0.000000000001'],
    ['999999999999.000000000001', 2, '9999999999.99000000000001'],
  ]) {
    assert.equal(toMoney(amount, decimals), money)
    assert.equal(toMinorUnit(money, decimals), toMinorUnit(toMoney(amount, decimals), decimals))
  }
})

test('money is understood as it is typed, or not at all', () => {
  for (const [typed, decimals, amount] of [
    ['10.00', 2, '1000'],
    ['10', 2, '1000'],
    ['10.', 2, '1000'],
    ['.5', 2, '50'],
    ['007', 2, '700'],
    ['0.0000001', 2, '0.00001'],
    ['1,000.50', 2, '100050'],
    ['1200', 0, '1200'],
    // Not everybody writes thousands like that.
    ['1,00', 2, null],
    ['10,50', 2, null],
    ['-1', 2, null],
    ['', 2, null],
    ['.', 2, null],
    ['ten', 2, null],
  ])
    assert.equal(toMinorUnit(typed, decimals), amount, typed)
  assert.equal(toCount('1,500'), '1500')
  assert.equal(toCount('x'), null)
})

test('JSON is read with comments, and written with every digit', () => {
  const text = '{ // x\n "plans": {"__proto__": {"a": 1e3, "b": [1, 2,],}, /* y */ "c": {"n": 9223372036854775806, "s": "\\u00e9\\n"}}}'
  const written = print(parse(text))
  assert.match(written, /9223372036854775806/)
  assert.match(written, /"__proto__"/)
  assert.equal(print(parse(written)), written)
  for (const bad of ['', '{', '{"a":}', '{a:1}', '[1 2]', '01', '+1', '1.', "{'a':1}", '/*', 'nul', '{}x', '"\n"'])
    assert.throws(() => parse(bad), SyntaxError, bad)
})

test('a model is sent without spaces and comments, and otherwise as it is', () => {
  for (const [text, sent] of [
    ['\ufeff{ // a "b"\r\n "a" : [ 1e3, /* " */ true ,\n] , }\n', '{"a":[1e3,true,],}'],
    ['{"a": " // \\" /* ", "a": "\\\\" /**/, "b": 2 }', '{"a":" // \\" /* ","a":"\\\\","b":2}'],
    ['{"ü": "x\\ny z"}', '{"ü":"x\\ny z"}'],
  ]) {
    assert.equal(compact(text), sent)
    assert.equal(print(parse(sent)), print(parse(text)))
    assert.equal(compact(sent), sent)
  }
  const features = Array.from({ length: 1500 }, (_, i) => [`feature:f${i}@plan:x`, { tiers: [{ upto: 1000, price: 0.25, base: 100 }, { price: 0.125 }] }])
  const large = parse(JSON.stringify({ plans: { 'plan:x@1': { features: Object.fromEntries(features) } } }))
  const room = 256 << 10
  assert.ok(print(large).length > room && compact(print(large)).length < room)
})

test('a change leaves the model before it as it was', () => {
  const model = parse('{"plans":{"plan:a@1":{"features":{"feature:x":{"tiers":[{"upto":10},{}]}}},"plan:a@9":{},"plan:b@1":{}}}')
  const before = print(model)
  const path = ['plans', 'plan:a@1', 'features', 'feature:x', 'tiers', 0, 'upto']
  assert.match(print(set(model, path, new Num('20'))), /"upto": 20/)
  assert.deepEqual(Object.keys(rename(model, ['plans'], 'plan:a@1', 'plan:z@1').plans), ['plan:z@1', 'plan:a@9', 'plan:b@1'])
  assert.equal(nextVersion('plan:a@1', model, null), 'plan:a@10')
  assert.deepEqual(Object.keys(copyPlan(model, 'plan:a@1', 'plan:a@10').plans), ['plan:a@1', 'plan:a@10', 'plan:a@9', 'plan:b@1'])
  assert.equal(print(ofKind(parse('{"title":"T","base":1}'), 'none')), print(parse('{"title":"T","tiers":[]}')))
  assert.equal(print(model), before)
})

test('what is of another type than it should be is shown as it is written, and gives way to what is added', () => {
  const texts = ['"a"', 'null', '7', 'true', '{"a": [1]}', '[{}]'].map(text => asText(parse(text)))
  assert.deepEqual(texts, ['a', '', '7', 'true', '{\n  "a": [\n    1\n  ]\n}', '[\n  {}\n]'])
  const added = '{"plans":{"plan:a@1":{"features":{"feature:x":{}}}}}'
  for (const model of ['{"plans":7}', '{"plans":"text"}', '{"plans":[1]}', '{"plans":null}', '{"plans":{"plan:a@1":[2]}}', '{"plans":{"plan:a@1":{"features":"f"}}}']) {
    const read = parse(model)
    assert.deepEqual(featureNames(read), [], model)
    assert.equal(print(set(read, ['plans', 'plan:a@1', 'features', 'feature:x'], parse('{}'))), print(parse(added)), model)
  }
  const odd = parse('{"plans":{"plan:a@1":null,"plan:b@1":{"features":{"feature:x":5,"feature:y":null,"feature:z":[{}]}}}}')
  assert.deepEqual(plans(odd).map(([id]) => id), ['plan:a@1', 'plan:b@1'])
  for (const name of featureNames(odd)) assert.equal(kind(odd.plans['plan:b@1'].features[name]), 'fixed')
  assert.match(print(renameFeature(odd, 'feature:x', 'feature:w', () => true)), /"feature:w": 5/)
  assert.deepEqual([parse('7'), parse('"x"'), parse('[]'), null].map(isObject), [false, false, false, false])
})

test('tiers are added and moved', () => {
  assert.equal(print(withAnother(parse('[{"upto":10},{}]'))), print(parse('[{"upto":10},{"upto":1010},{}]')))
  assert.equal(print(withAnother([])), print([{}]))
  assert.equal(print(withAnother(parse('[null]'))), print(parse('[{"upto":1000},{}]')))
  assert.deepEqual(moved([1, 2, 3], 0, 2), [2, 3, 1])
  assert.deepEqual(moved([1, 2, 3], 2, 0), [3, 1, 2])
})

test('fifty steps are undone and done again, and the letters of a word are one', () => {
  const history = new History(0)
  for (let i = 1; i <= 50; i++) history.push(i)
  for (let i = 49; i >= 0; i--) {
    history.undo()
    assert.equal(history.state, i)
  }
  history.undo()
  for (let i = 1; i <= 50; i++) history.redo()
  assert.equal(history.state, 50)
  for (const letter of 'word') history.push(letter, 'type')
  history.pause()
  history.push('other', 'type')
  history.undo()
  assert.equal(history.state, 'd')
  history.undo()
  assert.equal(history.state, 50)
})
