//! Pages of lists: newest first, limited by `limit`, `starting_after` and `ending_before`.

use serde_json::{Value, json};

use super::table::{Row, Table};
use crate::error::{Error, Result};
use crate::params::Params;

/// The requested page.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    limit: usize,
    after: Option<String>,
    before: Option<String>,
}

/// The rows of a page in order, and whether there are more in its direction.
#[derive(Debug)]
pub(crate) struct PageRows<'a, T> {
    pub(crate) rows: Vec<&'a T>,
    pub(crate) has_more: bool,
}

impl Page {
    /// Reads the three parameters. `limit` is 10 if not given.
    pub(crate) fn read(params: &Params<'_>) -> Result<Self> {
        let limit = match params.integer("limit")?.unwrap_or(10) {
            limit @ 1..=100 => usize::try_from(limit).expect("at most 100"),
            limit if limit < 1 => {
                return Err(Error::malformed(
                    "limit",
                    "This value must be greater than or equal to 1.",
                )
                .code("parameter_invalid_integer"));
            }
            _ => {
                return Err(Error::malformed("limit", "This value must be less than or equal to 100 (a list's page has at most 100 objects).")
                    .code("parameter_invalid_integer"));
            }
        };
        let after = params.string("starting_after")?.map(str::to_owned);
        let before = params.string("ending_before")?.map(str::to_owned);
        if after.is_some() && before.is_some() {
            return Err(Error::malformed(
                "starting_after",
                "You cannot give both `starting_after` and `ending_before`.",
            ));
        }
        Ok(Self {
            limit,
            after,
            before,
        })
    }

    /// Reads the two parameters of `/v2`. `limit` is 20 if not given, and `page` comes from a
    /// [URL](PageRows::to_v2_json) in an earlier answer.
    pub(crate) fn read_v2(params: &Params<'_>) -> Result<Self> {
        let limit = params.integer("limit")?.unwrap_or(20);
        let limit = usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=100).contains(limit));
        let limit = limit
            .ok_or_else(|| Error::malformed("limit", "This value must be between 1 and 100."))?;
        let mut page = Self::newest(limit, None);
        match params.string("page")?.map(|page| page.split_once('.')) {
            None => {}
            Some(Some(("after", id))) => page.after = Some(id.to_owned()),
            Some(Some(("before", id))) => page.before = Some(id.to_owned()),
            Some(_) => return Err(Error::malformed("page", "Invalid page")),
        }
        Ok(page)
    }

    /// The newest rows, or those that follow the row with the id `after`.
    pub(crate) fn newest(limit: usize, after: Option<String>) -> Self {
        Self {
            limit,
            after,
            before: None,
        }
    }

    /// The page of a table's rows that `keep` accepts.
    pub(crate) fn of_table<'a, T: Row>(
        &self,
        table: &'a Table<T>,
        what: &str,
        keep: impl Fn(&T) -> bool,
    ) -> Result<PageRows<'a, T>> {
        let row = |position| table.at(position).filter(|row| keep(row));
        self.cut(table, what, |from, to| Box::new((from..to).filter_map(row)))
    }

    /// The page of the rows at the given positions (ascending) that `keep` accepts.
    pub(crate) fn of_positions<'a, T: Row>(
        &self,
        table: &'a Table<T>,
        positions: &[u32],
        what: &str,
        keep: impl Fn(&T) -> bool,
    ) -> Result<PageRows<'a, T>> {
        let row = |position: u32| table.at(position).filter(|row| keep(row));
        self.cut(table, what, |from, to| {
            let start = positions.partition_point(|position| *position < from);
            let end = positions.partition_point(|position| *position < to);
            Box::new(
                positions[start..end]
                    .iter()
                    .filter_map(move |position| row(*position)),
            )
        })
    }

    /// `rows(from, to)` returns the rows from position `from` up to but not including `to`, oldest first.
    fn cut<'a, 'b, T: Row>(
        &self,
        table: &'a Table<T>,
        what: &str,
        rows: impl Fn(u32, u32) -> Box<dyn DoubleEndedIterator<Item = &'a T> + 'b>,
    ) -> Result<PageRows<'a, T>>
    where
        'a: 'b,
    {
        let position = |id: &str, param: &str| {
            table
                .position(id)
                .ok_or_else(|| Error::no_such(what, id, param))
        };
        if let Some(id) = &self.before {
            let from = position(id, "ending_before")? + 1;
            let (mut rows, has_more) = self.take(rows(from, table.end()));
            rows.reverse();
            return Ok(PageRows { rows, has_more });
        }
        let to = match &self.after {
            Some(id) => position(id, "starting_after")?,
            None => table.end(),
        };
        let (rows, has_more) = self.take(rows(0, to).rev());
        Ok(PageRows { rows, has_more })
    }

    /// The page of rows that are already in order.
    pub(crate) fn of_rows<'a, T: Row>(
        &self,
        rows: &[&'a T],
        what: &str,
    ) -> Result<PageRows<'a, T>> {
        let index = |id: &str, param: &str| {
            rows.iter()
                .position(|row| &**row.id() == id)
                .ok_or_else(|| Error::no_such(what, id, param))
        };
        if let Some(id) = &self.before {
            let end = index(id, "ending_before")?;
            let (mut rows, has_more) = self.take(rows[..end].iter().rev().copied());
            rows.reverse();
            return Ok(PageRows { rows, has_more });
        }
        let start = match &self.after {
            Some(id) => index(id, "starting_after")? + 1,
            None => 0,
        };
        let (rows, has_more) = self.take(rows[start..].iter().copied());
        Ok(PageRows { rows, has_more })
    }

    fn take<'a, T>(&self, mut rows: impl Iterator<Item = &'a T>) -> (Vec<&'a T>, bool) {
        let taken = rows.by_ref().take(self.limit).collect();
        (taken, rows.next().is_some())
    }
}

impl<T: Row> PageRows<'_, T> {
    /// A list of `/v2`. `url` has the other parameters of the request.
    pub(crate) fn to_v2_json(
        &self,
        page: &Page,
        url: &str,
        render: impl FnMut(&T) -> Value,
    ) -> Value {
        let separator = if url.contains('?') { '&' } else { '?' };
        let to = |direction: &str, row: Option<&&T>| {
            let url = |row: &&T| {
                let limit = page.limit;
                let id = row.id();
                format!("{url}{separator}limit={limit}&page={direction}.{id}")
            };
            row.map(url)
        };
        let has_next = page.before.is_some() || self.has_more;
        let has_previous = page.after.is_some() || page.before.is_some() && self.has_more;
        let data: Vec<Value> = self.rows.iter().copied().map(render).collect();
        json!({
            "data": data,
            "next_page_url": to("after", self.rows.last().filter(|_| has_next)),
            "previous_page_url": to("before", self.rows.first().filter(|_| has_previous)),
        })
    }
}

impl<T> PageRows<'_, T> {
    /// Stripe's `list` object.
    pub(crate) fn to_json(&self, url: &str, render: impl FnMut(&T) -> Value) -> Value {
        let data: Vec<Value> = self.rows.iter().copied().map(render).collect();
        json!({"object": "list", "data": data, "has_more": self.has_more, "url": url})
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::params::form::Form;
    use crate::store::ids::Id;

    #[derive(Debug)]
    struct Thing(Id, usize);

    impl Row for Thing {
        fn id(&self) -> &Id {
            &self.0
        }
    }

    fn table(size: usize) -> Table<Thing> {
        let mut table = Table::default();
        for n in 0..size {
            table.insert(Thing(format!("t_{n}").into(), n));
        }
        table
    }

    fn page(query: &str) -> Result<Page> {
        let mut form = Form::default();
        form.read(query.as_bytes())?;
        Page::read(&Params::new(&form))
    }

    #[test]
    fn limits_and_cursors_are_checked() {
        for bad in [
            "limit=0",
            "limit=101",
            "limit=x",
            "starting_after=a&ending_before=b",
        ] {
            assert!(page(bad).is_err(), "{bad}");
        }
        let table = table(3);
        let unknown = page("starting_after=t_9").expect("a page");
        let error = unknown
            .of_table(&table, "thing", |_| true)
            .expect_err("no such cursor");
        assert_eq!(error.message, "No such thing: 't_9'");
    }

    proptest! {
        /// Walking in either direction visits every row once, and lists are newest first.
        #[test]
        fn walking_visits_all(size in 0_usize..40, limit in 1_usize..12, modulus in 1_usize..4, back: bool, way in 0..3) {
            let table = table(size);
            let keep = |thing: &Thing| thing.1.is_multiple_of(modulus);
            let positions: Vec<u32> = (0..table.end()).collect();
            let mut rows: Vec<&Thing> = table.iter().filter(|thing| keep(thing)).collect();
            rows.reverse();
            let mut seen = Vec::new();
            let mut cursor = String::new();
            loop {
                let page = page(&format!("limit={limit}{cursor}")).expect("a page");
                let cut = match way {
                    0 => page.of_table(&table, "thing", keep),
                    1 => page.of_positions(&table, &positions, "thing", keep),
                    _ => page.of_rows(&rows, "thing"),
                }.expect("known cursors");
                let mut numbers: Vec<usize> = cut.rows.iter().map(|thing| thing.1).collect();
                if back && !cursor.is_empty() {
                    numbers.reverse();
                    seen.extend(numbers);
                    let Some(first) = cut.rows.first() else { break };
                    cursor = format!("&ending_before={}", first.0);
                } else if back {
                    // Walking back starts from the oldest row.
                    let Some(oldest) = rows.last() else { break };
                    seen.push(oldest.1);
                    cursor = format!("&ending_before={}", oldest.0);
                    continue;
                } else {
                    seen.extend(numbers);
                    let Some(last) = cut.rows.last() else { break };
                    cursor = format!("&starting_after={}", last.0);
                }
                if !cut.has_more {
                    break;
                }
            }
            let mut expected: Vec<usize> = rows.iter().map(|thing| thing.1).collect();
            if back {
                expected.reverse();
            }
            prop_assert_eq!(seen, expected);
        }
    }
}
