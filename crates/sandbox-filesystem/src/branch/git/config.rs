//! The few settings that must be known of a base's repository before git is run in it.
//!
//! Reads the format of git-config(1) as git itself does when it looks at a repository's format: that one file,
//! without includes. Never used on a branch.

/// The last value of `section.key`; none where it is not set. Sections with a subsection are others.
pub(super) fn value(text: &str, section: &str, key: &str) -> Option<String> {
    let named = |(in_section, name, _): &(String, String, String)| {
        in_section.eq_ignore_ascii_case(section) && name.eq_ignore_ascii_case(key)
    };
    let found = settings(text).into_iter().rfind(named);
    found.map(|(_, _, value)| value)
}

/// Every setting in order: its section, with the subsection in quotes, its key and its value.
pub(super) fn settings(text: &str) -> Vec<(String, String, String)> {
    let mut parser = Parser {
        rest: text.chars().peekable(),
    };
    let mut found = Vec::new();
    let mut current = String::new();
    while let Some(item) = parser.next_item() {
        match item {
            Item::Section(name) => current = name,
            Item::Value(name, value) => found.push((current.clone(), name, value)),
        }
    }
    found
}

enum Item {
    Section(String),
    Value(String, String),
}

struct Parser<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
}

impl Parser<'_> {
    fn next_item(&mut self) -> Option<Item> {
        loop {
            match self.rest.peek()? {
                '[' => return Some(Item::Section(self.section())),
                '#' | ';' => self.skip_line(),
                start if start.is_ascii_alphabetic() => return Some(self.setting()),
                _ => {
                    self.rest.next();
                }
            }
        }
    }

    /// `[section]` or `[section "subsection"]`, the latter with a quote in its name, which no section has.
    fn section(&mut self) -> String {
        self.rest.next();
        let mut name = String::new();
        let mut quoted = false;
        while let Some(character) = self.rest.next() {
            match character {
                '\\' if quoted => {
                    self.rest.next();
                }
                '"' => {
                    quoted = !quoted;
                    name.push('"');
                }
                ']' | '\n' if !quoted => break,
                other => name.push(other),
            }
        }
        name.trim().to_owned()
    }

    /// `key = value`, or `key` alone, which means true.
    fn setting(&mut self) -> Item {
        let mut name = String::new();
        while let Some(character) = self
            .rest
            .next_if(|next| next.is_ascii_alphanumeric() || *next == '-')
        {
            name.push(character);
        }
        while self.rest.next_if(|next| matches!(next, ' ' | '\t')).is_some() {}
        if self.rest.next_if_eq(&'=').is_some() {
            let value = self.value();
            Item::Value(name, value)
        } else {
            self.skip_line();
            Item::Value(name, "true".to_owned())
        }
    }

    fn value(&mut self) -> String {
        let mut value = String::new();
        // How much of it is not blanks at the end.
        let mut kept = 0;
        let mut quoted = false;
        while let Some(character) = self.rest.next() {
            match character {
                '\n' => break,
                '#' | ';' if !quoted => {
                    self.skip_line();
                    break;
                }
                '"' => quoted = !quoted,
                ' ' | '\t' | '\r' if !quoted => {
                    if !value.is_empty() {
                        value.push(character);
                    }
                    continue;
                }
                '\\' => match self.rest.next() {
                    Some('\n') | None => {}
                    Some('n') => value.push('\n'),
                    Some('t') => value.push('\t'),
                    Some(other) => value.push(other),
                },
                other => value.push(other),
            }
            kept = value.len();
        }
        value.truncate(kept);
        value
    }

    fn skip_line(&mut self) {
        for character in self.rest.by_ref() {
            if character == '\n' {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn settings_are_found_as_git_finds_them() {
        let text = "[core]\n\tbare = false ; no\n\tWorkTree = \"../a b\" # yes\n\
                    [Extensions] objectFormat = sha256 \n\
                    [core \"x\"]\nworktree = wrong\n[other]\nworktree=wrong\n\
                    [core]\n flag\n path = a\\\nb  c\t\n";
        for (section, key, expected) in [
            ("core", "worktree", Some("../a b")),
            ("core", "bare", Some("false")),
            ("core", "flag", Some("true")),
            ("core", "path", Some("ab  c")),
            ("extensions", "objectformat", Some("sha256")),
            ("extensions", "refstorage", None),
        ] {
            assert_eq!(value(text, section, key).as_deref(), expected, "{section}.{key}");
        }
    }

    #[test]
    fn text_that_is_no_configuration_ends() {
        for text in ["[", "[\"", "a", "a =", "a = \"", "=\\", "]]]\n\\"] {
            assert_eq!(value(text, "core", "x"), None, "{text}");
        }
    }
}
