//! A command as init wants it: paths to try, arguments, variables.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::command::Command;
use crate::error::StartError;
#[cfg(test)]
use crate::wire;
use crate::wire::{Exec, Writer};

/// Encodes `command` in the surroundings that the plan gives it.
pub(crate) fn encode(
    command: &Command,
    env: &[(OsString, OsString)],
    path: &[PathBuf],
    cwd: &Path,
) -> Result<Vec<u8>, StartError> {
    let mut variables: Vec<(&OsStr, &OsStr)> = Vec::with_capacity(env.len() + command.env.len());
    for (name, value) in env.iter().chain(&command.env) {
        match variables.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => variables.push((name, value)),
        }
    }
    let mut envp = Vec::new();
    for (name, value) in &variables {
        let mut text = OsString::from(name);
        text.push("=");
        text.push(value);
        append(&mut envp, &text)?;
    }
    let mut argv = Vec::new();
    for argument in &command.argv {
        append(&mut argv, argument)?;
    }
    let mut candidates = Vec::new();
    for candidate in lookup(command.program(), path) {
        append(&mut candidates, candidate.as_os_str())?;
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let mut writer = Writer::default();
    writer.exec(&Exec {
        cwd: &text(cwd.as_os_str())?,
        candidates: &candidates,
        argc: count(command.argv.len()),
        argv: &argv,
        envc: count(variables.len()),
        envp: &envp,
    });
    Ok(writer.finish())
}

/// Where execvp(3) would look.
fn lookup(program: &OsStr, path: &[PathBuf]) -> Vec<PathBuf> {
    if program.is_empty() {
        return Vec::new();
    }
    if program.as_bytes().contains(&b'/') {
        return vec![PathBuf::from(program)];
    }
    path.iter().map(|directory| directory.join(program)).collect()
}

fn append(to: &mut Vec<u8>, word: &OsStr) -> Result<(), StartError> {
    to.extend_from_slice(text(word)?.as_bytes_with_nul());
    Ok(())
}

/// A word as the kernel takes it.
pub(crate) fn text(word: &OsStr) -> Result<CString, StartError> {
    CString::new(word.as_bytes()).map_err(|error| StartError::Nul {
        word: OsString::from_vec(error.into_vec()),
    })
}

/// The texts of a blob, for tests and for printing.
#[cfg(test)]
fn words(bytes: &[u8]) -> Vec<String> {
    wire::texts(bytes)
        .map(|text| text.to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_wins_over_the_policy_s_environment_and_path_is_searched_in_order() {
        let env = [("A".into(), "1".into()), ("B".into(), "2".into())];
        let command = Command::new("cc").arg("-c").env("B", "3");
        let path = [PathBuf::from("/opt/bin"), PathBuf::from("/usr/bin")];
        let blob = encode(&command, &env, &path, Path::new("/tmp")).expect("no NUL");
        let exec = wire::Cursor(&blob).exec().expect("complete");
        assert_eq!(words(exec.envp), ["A=1", "B=3"]);
        assert_eq!(words(exec.argv), ["cc", "-c"]);
        assert_eq!(words(exec.candidates), ["/opt/bin/cc", "/usr/bin/cc"]);
        assert_eq!((exec.argc, exec.envc, exec.cwd), (2, 2, c"/tmp"));
    }

    #[test]
    fn a_nul_byte_is_an_error_that_names_the_word() {
        let command = Command::new("ls").arg("a\0b");
        let error = encode(&command, &[], &[], Path::new("/")).expect_err("NUL");
        assert!(error.to_string().contains("a\\0b"), "{error}");
    }

    #[test]
    fn a_program_with_a_slash_is_not_searched_for() {
        assert_eq!(
            lookup(OsStr::new("./x"), &[PathBuf::from("/bin")]),
            [PathBuf::from("./x")]
        );
        assert!(lookup(OsStr::new(""), &[PathBuf::from("/bin")]).is_empty());
    }
}
