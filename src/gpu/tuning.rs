//! Measured choices of kernel variants, as bytes that belong to one adapter and driver.

use fourfold_shaders::{Choice, Choices, Family};
use serde_json::{Value, json};

use super::Error;

/// The variants of kernels that were measured to be the fastest on one adapter with one driver.
///
/// `fourfold tune` measures them and writes [`to_bytes`](Self::to_bytes) into a file. A program reads the file, or ships
/// it, and gives it to [`Gpu::with_tuning`](super::Gpu::with_tuning); without it the rules of the kernels decide, the same
/// on every machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuning {
    adapter: Adapter,
    choices: Choices,
}

/// The facts by which an adapter is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Adapter {
    name: String,
    backend: String,
    driver: String,
    driver_info: String,
}

impl Adapter {
    fn of(info: &wgpu::AdapterInfo) -> Self {
        Self {
            name: info.name.clone(),
            backend: info.backend.to_str().to_owned(),
            driver: info.driver.clone(),
            driver_info: info.driver_info.clone(),
        }
    }

    fn describe(&self) -> String {
        let [name, backend, driver, driver_info] =
            [&self.name, &self.backend, &self.driver, &self.driver_info].map(|text| quoted(text));
        format!("{name} ({backend}, {driver} {driver_info})")
    }
}

/// The first entry of every file, with the number of its format.
const FORMAT: &str = "fourfold tuning 1";

/// The version of this crate, whose kernels were measured.
const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Tuning {
    /// Makes the tuning of an adapter from the choices that were measured on it.
    pub fn new(adapter: &wgpu::AdapterInfo, choices: Choices) -> Self {
        Self { adapter: Adapter::of(adapter), choices }
    }

    /// Returns the choices.
    pub fn choices(&self) -> Choices {
        self.choices
    }

    /// Returns the content of a file: JSON that a person can read, the same bytes for the same choices.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Adapter { name, backend, driver, driver_info } = &self.adapter;
        let choice = |choice: Choice| json!({ "family": choice.family.name(), "class": choice.class, "variant": choice.to_string() });
        let file = json!({
            "format": FORMAT,
            "fourfold": VERSION,
            "adapter": { "name": name, "backend": backend, "driver": driver, "driver_info": driver_info },
            "choices": self.choices.iter().map(choice).collect::<Vec<_>>(),
        });
        format!("{file:#}\n").into_bytes()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`Error::Tuning`] if the bytes are damaged, or of another format or version of this crate.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |expected: &str| refuse(format!("the tuning is damaged: expected {expected}"));
        let file: Value =
            serde_json::from_slice(bytes).map_err(|error| refuse(format!("the tuning is damaged: {error}")))?;
        let text = |value: &Value, key: &str| match value[key].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(damaged(&format!("a text `{key}`"))),
        };
        let format = text(&file, "format")?;
        if format != FORMAT {
            return Err(refuse(format!(
                "the tuning has another format: expected `{FORMAT}`, got `{}`",
                quoted(&format)
            )));
        }
        let version = text(&file, "fourfold")?;
        if version != VERSION {
            return Err(refuse(format!(
                "the tuning is of another version: expected fourfold {VERSION}, got {}",
                quoted(&version)
            )));
        }
        let adapter = &file["adapter"];
        let adapter = Adapter {
            name: text(adapter, "name")?,
            backend: text(adapter, "backend")?,
            driver: text(adapter, "driver")?,
            driver_info: text(adapter, "driver_info")?,
        };
        let mut choices = Choices::NONE;
        for entry in file["choices"].as_array().ok_or_else(|| damaged("a list `choices`"))? {
            let [family, variant] = [text(entry, "family")?, text(entry, "variant")?];
            let known = Family::ALL.into_iter().find(|known| known.name() == family);
            let family = known.ok_or_else(|| damaged(&format!("a family of kernels, got `{}`", quoted(&family))))?;
            let known = family.variants().iter().position(|known| *known == variant);
            let variant = known
                .ok_or_else(|| damaged(&format!("a variant of `{}`, got `{}`", family.name(), quoted(&variant))))?;
            let class = entry["class"].as_u64().filter(|class| *class < Choices::CLASSES as u64);
            let class = class.ok_or_else(|| {
                let got = quoted(&entry["class"].to_string());
                damaged(&format!("a class below {}, got {got}", Choices::CLASSES))
            })?;
            choices = choices.with(Choice { family, class: class as usize, variant });
        }
        Ok(Self { adapter, choices })
    }

    /// Refuses a device of another adapter or driver.
    pub(super) fn check(&self, info: &wgpu::AdapterInfo) -> Result<(), Error> {
        let own = Adapter::of(info);
        if own == self.adapter {
            return Ok(());
        }
        let (expected, got) = (own.describe(), self.adapter.describe());
        Err(refuse(format!("the tuning was measured elsewhere: expected one of {expected}, got one of {got}")))
    }
}

/// The first characters of a text of a file, without control characters.
fn quoted(text: &str) -> String {
    const MOST: usize = 48;
    let mut printed = text.escape_debug();
    let start: String = printed.by_ref().take(MOST).collect();
    if printed.next().is_some() { start + "…" } else { start }
}

fn refuse(message: String) -> Error {
    Error::Tuning { message }
}

#[cfg(test)]
mod tests {
    use wgpu::{AdapterInfo, Backend, DeviceType};

    use super::*;

    fn adapter(driver_info: &str) -> AdapterInfo {
        let mut adapter = AdapterInfo::new(DeviceType::Cpu, Backend::Vulkan);
        (adapter.name, adapter.driver_info) = ("llvmpipe".into(), driver_info.into());
        adapter
    }

    fn tuning() -> Tuning {
        let choices = Choices::NONE.with(Choice { family: Family::MatrixProduct, class: 9, variant: 6 });
        Tuning::new(&adapter("Mesa 22.3.6"), choices.with_all(Family::Rows, 0))
    }

    #[test]
    fn bytes_bring_the_same_tuning_back() {
        let bytes = tuning().to_bytes();
        assert_eq!(Tuning::from_bytes(&bytes), Ok(tuning()));
        assert_eq!(Tuning::from_bytes(&bytes).map(|tuning| tuning.to_bytes()), Ok(bytes));
    }

    #[test]
    fn bytes_that_are_damaged_or_old_are_refused_in_one_sentence() {
        let text = String::from_utf8(tuning().to_bytes()).unwrap();
        let changes = [
            ("{", "[", "the tuning is damaged"),
            ("fourfold tuning 1", "fourfold tuning 0", "expected `fourfold tuning 1`, got `fourfold tuning 0`"),
            (VERSION, "0.0.1", "another version: expected fourfold"),
            ("\"driver\": \"\"", "\"driver\": 1", "expected a text `driver`"),
            ("\"matrix product\"", "\"frob\"", "expected a family of kernels, got `frob`"),
            ("subgroup tile 16 x 64", "frob", "expected a variant of `matrix product`, got `frob`"),
            ("\"class\": 9", "\"class\": 99", "expected a class below 16, got 99"),
        ];
        for (from, to, expected) in changes {
            let sentence = Tuning::from_bytes(text.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
            assert!(sentence.contains(expected), "{sentence}");
        }
        let long = "\u{1b}[31m".repeat(100);
        let sentence =
            Tuning::from_bytes(text.replacen("fourfold tuning 1", &long, 1).as_bytes()).unwrap_err().to_string();
        assert!(sentence.chars().count() <= 200 && !sentence.contains(char::is_control), "{sentence}");
        for length in 0..text.len() - 1 {
            assert!(Tuning::from_bytes(&text.as_bytes()[..length]).is_err(), "{length} bytes of {}", text.len());
        }
    }

    #[test]
    fn another_driver_is_refused() {
        assert_eq!(tuning().check(&adapter("Mesa 22.3.6")), Ok(()));
        let sentence = tuning().check(&adapter("Mesa 25.0.7")).unwrap_err().to_string();
        assert!(sentence.contains("expected one of llvmpipe") && sentence.contains("Mesa 22.3.6"), "{sentence}");
    }
}
