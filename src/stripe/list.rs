//! Reading Stripe's paginated lists.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Error, Request};

/// A page of a list, newest first.
#[derive(Clone, Debug, Deserialize)]
pub struct Page<T> {
    /// The objects.
    pub data: Vec<T>,
    /// Whether there are more after these.
    #[serde(default)]
    pub has_more: bool,
    /// The cursor of a search's next page.
    #[serde(default)]
    pub next_page: Option<String>,
}

/// An object with an id, which is the cursor of a list.
pub trait Identified {
    /// Stripe's id.
    fn id(&self) -> &str;
}

impl Request {
    /// Reads the whole list, in pages of a hundred.
    ///
    /// # Errors
    /// Those of [`Request::send`]. Pages that were read before are dropped.
    pub async fn list<T: DeserializeOwned + Identified>(self) -> Result<Vec<T>, Error> {
        self.list_pages(usize::MAX).await
    }

    /// Reads at most `pages` pages of a hundred.
    ///
    /// # Errors
    /// Those of [`Request::send`].
    pub async fn list_pages<T: DeserializeOwned + Identified>(
        self,
        pages: usize,
    ) -> Result<Vec<T>, Error> {
        let mut left = pages;
        let no_more = |_: &[T]| {
            left = left.saturating_sub(1);
            left == 0
        };
        self.list_until(no_more).await
    }

    /// Reads pages of a hundred up to the first page that `is_last`.
    ///
    /// # Errors
    /// Those of [`Request::send`]. Pages that were read before are dropped.
    pub async fn list_until<T: DeserializeOwned + Identified>(
        self,
        mut is_last: impl FnMut(&[T]) -> bool,
    ) -> Result<Vec<T>, Error> {
        let mut request = self.param("limit", 100);
        let mut all: Vec<T> = Vec::new();
        loop {
            let page: Page<T> = request.clone().send().await?;
            let more = page.has_more && !page.data.is_empty() && !is_last(&page.data);
            all.extend(page.data);
            let Some(last) = all.last().filter(|_| more) else {
                return Ok(all);
            };
            let after = last.id().to_owned();
            request = request.replace_param("starting_after", after);
        }
    }
}
