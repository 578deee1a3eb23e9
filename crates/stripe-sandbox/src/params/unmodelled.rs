//! Refusal of parameters that Stripe has and the sandbox does not model. The error says so, instead of calling them
//! unknown.

use super::Params;
use crate::error::{Error, Result};

impl Params<'_> {
    /// Refuses parameters that Stripe has and the sandbox does not model. A name that ends in `?` may be given empty,
    /// because unsetting it changes nothing.
    pub(crate) fn unmodelled(&self, keys: &[&str]) -> Result<()> {
        for key in keys {
            let name = key.trim_end_matches('?');
            let Some(node) = self.get(name) else {
                continue;
            };
            if !(key.ends_with('?') && self.is_unset(name)) {
                return Err(Error::unmodelled(&self.name(name)));
            }
            node.is_read.set(true);
        }
        Ok(())
    }

    /// Accepts an unmodelled parameter only with its default `value`, which changes nothing.
    pub(crate) fn only_default(&self, key: &str, value: &str) -> Result<()> {
        match self.text(key)? {
            Some(given) if given != value => Err(Error::unmodelled(&self.name(key))),
            _ => Ok(()),
        }
    }

    /// Accepts the object of an unmodelled feature only as `enabled=false`.
    pub(crate) fn disabled(&self, key: &str) -> Result<()> {
        let Some(object) = self.object(key)? else {
            return Ok(());
        };
        match (object.text("enabled")?, &*object.keys()) {
            (Some("false"), [_]) => Ok(()),
            _ => Err(Error::unmodelled(&self.name(key))),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Result;
    use crate::params::Params;
    use crate::params::tests::form;

    #[test]
    fn what_is_not_modelled_is_refused_unless_it_changes_nothing() {
        let form = form(
            "a=1&b=&c=&d=false&e=true&f[enabled]=false&g[enabled]=true&h[enabled]=false&h[x]=1",
        );
        let params = Params::new(&form);
        let refused = |result: Result<()>| result.expect_err("refused").param;
        assert_eq!(refused(params.unmodelled(&["a"])).as_deref(), Some("a"));
        assert_eq!(refused(params.unmodelled(&["b"])).as_deref(), Some("b"));
        assert_eq!(refused(params.unmodelled(&["a?"])).as_deref(), Some("a"));
        assert_eq!(
            refused(params.only_default("e", "false")).as_deref(),
            Some("e")
        );
        params.unmodelled(&["c?", "z", "z?"]).expect("unset");
        params.only_default("d", "false").expect("the default");
        params.only_default("z", "false").expect("not given");
        assert_eq!(refused(params.disabled("g")).as_deref(), Some("g"));
        assert_eq!(refused(params.disabled("h")).as_deref(), Some("h"));
        params.disabled("f").expect("not enabled");
        params.disabled("z").expect("not given");
        assert_eq!(
            params.finish().expect_err("unread").param.as_deref(),
            Some("a")
        );
    }
}
