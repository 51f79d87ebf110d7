//! Makes ext4 images for the benchmarks: `ext4_driver format IMAGE BYTES`, `ext4_driver populate IMAGE DIRECTORY
//! BYTES` (0: as small as fits), `ext4_driver grow IMAGE BYTES`, `ext4_driver check IMAGE`.
#![expect(clippy::print_stdout, reason = "what it is for is told there")]

use std::{env, error::Error, process::ExitCode};

use sandbox_types::ByteSize;
use sandbox_volumes::ext4::{self, DirectoryTree, Ext4FormatOptions, Size, Source};

const USAGE: &str = "format IMAGE BYTES | populate IMAGE DIRECTORY BYTES | check IMAGE | grow IMAGE BYTES; 0 BYTES fit what is in it";

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ext4_driver: {error}{}", causes(&*error));
            ExitCode::FAILURE
        }
    }
}

fn causes(error: &dyn Error) -> String {
    error
        .source()
        .map(|source| format!(": {source}{}", causes(source)))
        .unwrap_or_default()
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        // As an example it says what it is for.
        [] => println!("{USAGE}"),
        ["format", image, bytes] => {
            ext4::format_ext4(image, &Ext4FormatOptions::builder(size(bytes)?).build()?)?;
        }
        ["populate", image, directory, bytes] => {
            let tree = DirectoryTree::open(directory)?;
            let options = Ext4FormatOptions::builder(size(bytes)?).build()?;
            ext4::write_ext4(image, Source::Tree(&tree), &options)?;
        }
        ["check", image] => {
            let report = ext4::check(std::fs::File::open(image)?)?;
            if let Some(problem) = report.problems.first() {
                return Err(problem.clone().into());
            }
        }
        ["grow", image, bytes] => {
            ext4::grow(image, ByteSize::from_bytes(bytes.parse()?))?;
        }
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

fn size(bytes: &str) -> Result<Size, Box<dyn Error>> {
    let bytes = ByteSize::from_bytes(bytes.parse()?);
    let fit = Size::Fit {
        headroom: ByteSize::from_bytes(1 << 20),
    };
    Ok(if bytes == ByteSize::ZERO {
        fit
    } else {
        Size::Bytes(bytes)
    })
}
