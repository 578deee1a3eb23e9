//! Valid calls, from `calls.txt`.

use std::collections::HashMap;

use anyhow::Context as _;
use serde_json::Value;

use crate::stripe::{Answer, Param, Stripe};

/// The time at which everything is probed. It is in February, which is shorter than the months around it.
const NOW: i64 = 1_676_000_000;

/// A call. Names in braces stand for objects that must be made first.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) params: Vec<Param>,
}

impl Call {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut words = text.trim().splitn(3, ' ');
        let (method, path) = words
            .next()
            .zip(words.next())
            .with_context(|| format!("no call: {text}"))?;
        let params = words
            .next()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty());
        let params = params.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        });
        Ok(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            params: params.collect(),
        })
    }

    /// The same call, with other values for some parameters or with more parameters.
    pub(super) fn with(&self, params: &[Param]) -> Self {
        let mut call = self.clone();
        call.params
            .retain(|(name, _)| params.iter().all(|(other, _)| other != name));
        call.with_more(params)
    }

    /// The same call with more parameters.
    pub(super) fn with_more(&self, params: &[Param]) -> Self {
        let mut call = self.clone();
        call.params.extend_from_slice(params);
        call
    }
}

/// The calls in `calls.txt`.
#[derive(Debug)]
pub(super) struct Calls {
    /// How each name is made: the calls, and the place of the id in the last call's answer.
    recipes: HashMap<String, (Vec<Call>, String)>,
    pub(super) endpoints: Vec<Call>,
}

impl Calls {
    pub(super) fn read() -> anyhow::Result<Self> {
        let (mut recipes, mut endpoints) = (HashMap::new(), Vec::new());
        let lines = include_str!("calls.txt").lines();
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some((name, call)) = line.split_once(" = ") {
                let (call, place) = call.split_once(" > ").unwrap_or((call, "id"));
                let calls: anyhow::Result<_> = call.split(" ; ").map(Call::parse).collect();
                recipes.insert(name.to_owned(), (calls?, place.to_owned()));
            } else {
                endpoints.push(Call::parse(line)?);
            }
        }
        Ok(Self { recipes, endpoints })
    }

    /// Whether the file says how to make this name.
    pub(super) fn makes(&self, name: &str) -> bool {
        self.recipes.contains_key(name)
    }
}

/// A sandbox in which objects are made when a call needs them.
#[derive(Debug)]
pub(super) struct World<'a> {
    calls: &'a Calls,
    stripe: Stripe,
    ids: HashMap<String, String>,
}

impl<'a> World<'a> {
    pub(super) fn new(calls: &'a Calls) -> Self {
        Self {
            calls,
            stripe: Stripe::new(NOW),
            ids: HashMap::new(),
        }
    }

    /// Makes the objects that the call names, and then the call.
    pub(super) async fn send(&mut self, call: &Call) -> anyhow::Result<Answer> {
        let path = self.filled(&call.path).await?;
        let mut params = Vec::new();
        for (name, value) in &call.params {
            params.push((name.clone(), self.filled(value).await?));
        }
        self.stripe.send(&call.method, &path, &params, None).await
    }

    /// The text with ids in place of names in braces.
    pub(super) async fn filled(&mut self, text: &str) -> anyhow::Result<String> {
        let mut filled = text.to_owned();
        while let Some((before, rest)) = filled.split_once('{') {
            let (name, after) = rest.split_once('}').context("a brace is not closed")?;
            let id = Box::pin(self.id(name)).await?;
            filled = format!("{before}{id}{after}");
        }
        Ok(filled)
    }

    async fn id(&mut self, name: &str) -> anyhow::Result<String> {
        if let Some(id) = self.ids.get(name) {
            return Ok(id.clone());
        }
        let calls = self.calls;
        let recipe = calls.recipes.get(name);
        let (steps, place) = recipe.with_context(|| format!("calls.txt does not make {name}"))?;
        let mut answer = Value::Null;
        for step in steps {
            let (status, answered) = self.send(step).await?;
            anyhow::ensure!(status == 200, "no {name}: {answered}");
            answer = answered;
        }
        let id = found(&answer, place).and_then(Value::as_str);
        let id = id.with_context(|| format!("no {name} in {answer}"))?;
        self.ids.insert(name.to_owned(), id.to_owned());
        Ok(id.to_owned())
    }
}

/// The value at a place in an answer, such as `items.data.0.id`.
pub(super) fn found<'a>(answer: &'a Value, place: &str) -> Option<&'a Value> {
    place
        .split('.')
        .try_fold(answer, |value, name| match name.parse::<usize>() {
            Ok(index) => value.get(index).or_else(|| value["data"].get(index)),
            Err(_) => value.get(name),
        })
}
