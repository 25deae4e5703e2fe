//! Pages of lists: `MaxItems` at once, and a `Marker` where the next begins.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::query_api::{Fault, Form};
use crate::xml::Writer;

const ITEMS_DEFAULT: u32 = 100;
const ITEMS_MAX: u32 = 1000;

/// Where a page begins and how long it is.
pub struct Pager {
    after: Option<String>,
    max: usize,
}

/// One page.
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    next: Option<String>,
}

impl Pager {
    /// The page that a call asks for.
    pub fn new(form: &Form) -> Result<Pager, Fault> {
        let invalid = |text: &str| Fault::constraint("Marker", text, "Member must be the marker of an earlier answer");
        let read = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok();
            bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| invalid(text))
        };
        let after = form.get("Marker").map(read).transpose()?;
        let max = form.number("MaxItems", 1, ITEMS_MAX)?.unwrap_or(ITEMS_DEFAULT);
        Ok(Pager { after, max: usize::try_from(max).expect("32 bits") })
    }

    /// The range of keys that the page can hold.
    pub fn range(&self) -> (Bound<&str>, Bound<&str>) {
        (self.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
    }

    /// Fills the page with items in the order of their keys; those before the page are passed over.
    pub fn page<'k, T>(&self, items: impl Iterator<Item = (&'k str, T)>) -> Page<T> {
        let is_after = |key: &str| self.after.as_deref().is_none_or(|after| key > after);
        let mut items = items.filter(|(key, _)| is_after(key)).peekable();
        let mut page = Page { items: Vec::new(), next: None };
        while let Some((key, item)) = items.next() {
            page.items.push(item);
            if page.items.len() == self.max && items.peek().is_some() {
                page.next = Some(URL_SAFE_NO_PAD.encode(key));
                break;
            }
        }
        page
    }
}

impl<T> Page<T> {
    /// Writes the list, and whether it goes on.
    pub fn write(&self, writer: &mut Writer, list: &str, item: impl Fn(&mut Writer, &T)) {
        writer.open(list);
        for one in &self.items {
            writer.open("member");
            item(writer, one);
            writer.close();
        }
        writer.close();
        self.write_end(writer);
    }

    /// Writes whether the list goes on.
    pub fn write_end(&self, writer: &mut Writer) {
        writer.element("IsTruncated", if self.next.is_some() { "true" } else { "false" });
        if let Some(next) = &self.next {
            writer.element("Marker", next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pager;
    use crate::query_api::Form;

    #[test]
    fn pages_follow_each_other() {
        let keys = ["a", "b", "c", "d", "e"];
        let mut seen = Vec::new();
        let mut marker = String::new();
        for expected in [2, 2, 1] {
            let pager = Pager::new(&Form::parse(format!("MaxItems=2{marker}").as_bytes()).unwrap()).unwrap();
            let page = pager.page(keys.iter().map(|key| (*key, *key)));
            assert_eq!(page.items.len(), expected);
            seen.extend(page.items);
            marker = page.next.map(|next| format!("&Marker={next}")).unwrap_or_default();
        }
        assert_eq!((seen.as_slice(), marker.as_str()), (&keys[..], ""));
        for text in ["MaxItems=0", "MaxItems=1001", "Marker=%25", "MaxItems=x"] {
            assert!(Pager::new(&Form::parse(text.as_bytes()).unwrap()).is_err(), "{text}");
        }
    }
}
