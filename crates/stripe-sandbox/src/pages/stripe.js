// A stand-in for Stripe.js, as far as it is needed to set up a card. The card number goes to the sandbox alone.
(() => {
  const { origin } = new URL(document.currentScript.src)

  const TEST_CARDS = [
    ['4242 4242 4242 4242', 'succeeds'],
    ['4000 0025 0000 3155', 'has to be authenticated (3-D Secure)'],
    ['4000 0000 0000 0002', 'is declined'],
  ]

  const confirm = async fields => {
    const body = new URLSearchParams(fields)
    const answer = await fetch(`${origin}/v3/confirm_setup`, { method: 'POST', body })
    return answer.json()
  }

  const make = (name, properties, ...children) => {
    const node = Object.assign(document.createElement(name), properties)
    node.append(...children)
    return node
  }

  // A field without a name: the app's form does not send it.
  const cardField = () => {
    const list = make('datalist', { id: 'sandbox-test-cards' },
      ...TEST_CARDS.map(([value, label]) => make('option', { value, label })))
    const input = make('input', { type: 'text', inputMode: 'numeric', autocomplete: 'off', required: true })
    input.setAttribute('list', list.id)
    const label = make('label', {}, 'Card number ', input)
    const known = TEST_CARDS.map(([number, outcome]) => make('li', {}, `${number} ${outcome}`))
    const note = make('p', {}, 'This is a sandbox. Test cards:')
    return { input, node: make('div', {}, label, list, note, make('ul', {}, ...known)) }
  }

  const elementsFor = clientSecret => {
    let field
    const element = {
      mount: target => {
        const place = typeof target === 'string' ? document.querySelector(target) : target
        if (!place) throw new Error(`There is no ${target} to mount the card field in.`)
        field = cardField()
        place.replaceChildren(field.node)
      },
      unmount: () => field?.node.remove(),
      on: (event, listener) => {
        if (event === 'ready') queueMicrotask(listener)
        return element
      },
    }
    const create = type => {
      if (type !== 'payment') throw new Error(`The sandbox has no element of the type ${type}.`)
      return element
    }
    return { create, clientSecret, number: () => field?.input.value ?? '' }
  }

  globalThis.Stripe = key => {
    if (!/^pk_/.test(key)) throw new Error('Stripe() takes a publishable key, which begins with pk_.')
    return {
      elements: ({ clientSecret }) => elementsFor(clientSecret),
      confirmSetup: async ({ elements, confirmParams }) => {
        const { next, error } = await confirm({
          client_secret: elements.clientSecret,
          number: elements.number(),
          return_url: confirmParams.return_url,
        })
        if (error) return { error }
        location.assign(next)
        // As with the original, nothing comes after that.
        return new Promise(() => {})
      },
    }
  }
})()
