//! The text of references: gitrepository-layout(5).

use std::collections::BTreeMap;

use super::object::{ObjectFormat, ObjectId};
use super::refname;

/// Symbolic references that lead to one another; git's own limit.
const MAX_HOPS: usize = 5;

/// What a reference holds.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Id(ObjectId),
    Symbolic(String),
}

/// What `name` stands for, through symbolic references.
pub(super) fn resolve(values: &BTreeMap<String, Value>, name: &str) -> Option<ObjectId> {
    let mut value = values.get(name)?;
    for _ in 0..MAX_HOPS {
        match value {
            Value::Id(id) => return Some(id.clone()),
            Value::Symbolic(next) => value = values.get(next)?,
        }
    }
    None
}

/// Whether git would write to the file `name` while it changes another.
pub(super) fn is_lock(name: &str) -> bool {
    name.as_bytes().ends_with(b".lock")
}

/// Whether `name` is one of `prefixes`, or beneath one that ends with a slash.
pub(super) fn is_wanted(name: &str, prefixes: &[&str]) -> bool {
    prefixes
        .iter()
        .any(|prefix| name == *prefix || (prefix.ends_with('/') && name.starts_with(prefix)))
}

/// `ID NAME`.
pub(super) fn packed_line(line: &[u8], format: ObjectFormat) -> Option<(&str, ObjectId)> {
    let (id, name) = line.split_at_checked(format.digits())?;
    let name = std::str::from_utf8(name.strip_prefix(b" ")?).ok()?;
    let id = ObjectId::parse(id, format)?;
    refname::is_allowed(name).then_some((name, id))
}

/// An object's name or `ref: NAME`, with nothing but blanks after it.
pub(super) fn parse(text: &[u8], format: ObjectFormat) -> Option<Value> {
    let text = text.trim_ascii_end();
    if let Some(target) = text.strip_prefix(b"ref:") {
        let target = std::str::from_utf8(target.trim_ascii_start()).ok()?;
        return refname::is_allowed(target).then(|| Value::Symbolic(target.to_owned()));
    }
    ObjectId::parse(text, format).map(Value::Id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789012345678901234567890123456789";

    #[test]
    fn a_reference_is_an_object_or_another_reference() {
        let read = |text: &str| parse(text.as_bytes(), ObjectFormat::Sha1);
        assert!(matches!(read(&format!("{ID}\n")), Some(Value::Id(_))));
        assert!(
            matches!(read("ref: refs/heads/main\n"), Some(Value::Symbolic(name)) if name == "refs/heads/main")
        );
        for bad in [
            "",
            "ref:",
            "ref: main",
            "ref: /etc/passwd",
            "ref: refs/heads/../x",
            "0123",
            "\0",
        ] {
            assert!(read(bad).is_none(), "{bad:?}");
        }
        assert!(read(&format!("{ID} refs/heads/x")).is_none());
    }

    #[test]
    fn a_packed_line_is_an_object_and_a_name() {
        let read =
            |text: &str| packed_line(text.as_bytes(), ObjectFormat::Sha1).map(|(name, _)| name.to_owned());
        assert_eq!(
            read(&format!("{ID} refs/heads/x")).as_deref(),
            Some("refs/heads/x")
        );
        for bad in [
            format!("{ID}refs/heads/x"),
            format!("{ID} x"),
            format!("{ID}0 refs/heads/x"),
            "x".to_owned(),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_circle_of_references_leads_nowhere() {
        let symbolic = |name: &str| Value::Symbolic(name.to_owned());
        let values = BTreeMap::from([
            ("a".to_owned(), symbolic("b")),
            ("b".to_owned(), symbolic("a")),
            ("c".to_owned(), symbolic("d")),
            (
                "d".to_owned(),
                Value::Id(ObjectId::parse(ID.as_bytes(), ObjectFormat::Sha1).unwrap()),
            ),
        ]);
        assert_eq!(resolve(&values, "a"), None);
        assert!(resolve(&values, "c").is_some());
    }
}
