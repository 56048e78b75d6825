//! A GPU driver for machines that have none: Mesa's software Vulkan driver, on Linux.

use crate::apt::{self, Privilege, privilege};
use crate::{Failure, Result, vulkan};

/// Ensures that there is an adapter to run on.
///
/// Windows and macOS bring one, and so does a Linux machine whose Vulkan loader knows any device: nothing is installed
/// there. Otherwise Mesa's software driver is installed where the system uses apt and we may; where we may not, the
/// error says what to type.
pub fn ensure() -> Result {
    if !cfg!(target_os = "linux") || vulkan::device_count() > 0 {
        return Ok(());
    }
    let remedy = remedy(on_path, privilege());
    match &remedy {
        Remedy::Install { sudo } => {
            eprintln!("No Vulkan device here: installing Mesa's software driver ({})", PACKAGES.join(", "));
            apt::install(*sudo, &PACKAGES)?;
            if vulkan::device_count() > 0 {
                return Ok(());
            }
            Err(Failure::new(
                "Mesa's software driver is installed, and yet Vulkan reports no device; if VK_DRIVER_FILES or \
                 VK_ICD_FILENAMES is set, unset it and try again",
            ))
        }
        Remedy::Type(command) => Err(Failure::new(format!(
            "there is no Vulkan device on this machine. This installs Mesa's software driver:\n\n    {command}\n"
        ))),
        Remedy::Unknown => Err(Failure::new(
            "there is no Vulkan device on this machine; install the Vulkan loader (libvulkan.so.1) and Mesa's software \
             driver (called lavapipe or swrast) with the package manager of this system",
        )),
    }
}

const PACKAGES: [&str; 2] = ["libvulkan1", "mesa-vulkan-drivers"];

/// The way for a machine without a driver to get one.
#[derive(Debug, PartialEq, Eq)]
enum Remedy {
    /// We install the packages with apt.
    Install { sudo: bool },
    /// The user types this command.
    Type(String),
    /// An unknown package manager.
    Unknown,
}

fn remedy(on_path: impl Fn(&str) -> bool, privilege: Privilege) -> Remedy {
    if on_path("apt-get") {
        return match privilege {
            Privilege::Root => Remedy::Install { sudo: false },
            Privilege::Sudo => Remedy::Install { sudo: true },
            Privilege::None => Remedy::Type(apt::typed(&PACKAGES)),
        };
    }
    let managers = [
        ("dnf", "dnf install vulkan-loader mesa-vulkan-drivers"),
        ("pacman", "pacman -S vulkan-icd-loader vulkan-swrast"),
        ("zypper", "zypper install libvulkan1 libvulkan_lvp"),
        ("apk", "apk add vulkan-loader mesa-vulkan-swrast"),
    ];
    match managers.iter().find(|(manager, _)| on_path(manager)) {
        Some((_, command)) if privilege == Privilege::Root => Remedy::Type((*command).to_owned()),
        Some((_, command)) => Remedy::Type(format!("sudo {command}")),
        None => Remedy::Unknown,
    }
}

/// Returns true if a program of this name is on the PATH.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'a>(programs: &'a [&'a str]) -> impl Fn(&str) -> bool + 'a {
        |program| programs.contains(&program)
    }

    #[test]
    fn where_apt_may_be_used_the_driver_is_installed() {
        assert_eq!(remedy(with(&["apt-get"]), Privilege::Root), Remedy::Install { sudo: false });
        assert_eq!(remedy(with(&["apt-get"]), Privilege::Sudo), Remedy::Install { sudo: true });
    }

    #[test]
    fn without_rights_the_exact_command_is_named() {
        let Remedy::Type(command) = remedy(with(&["apt-get"]), Privilege::None) else { panic!("must not install") };
        assert_eq!(
            command,
            "sudo apt-get update && sudo apt-get install --no-install-recommends libvulkan1 mesa-vulkan-drivers"
        );
    }

    #[test]
    fn other_package_managers_are_never_run() {
        assert_eq!(
            remedy(with(&["pacman"]), Privilege::Sudo),
            Remedy::Type("sudo pacman -S vulkan-icd-loader vulkan-swrast".into())
        );
        assert_eq!(
            remedy(with(&["apk"]), Privilege::Root),
            Remedy::Type("apk add vulkan-loader mesa-vulkan-swrast".into())
        );
        assert_eq!(remedy(with(&[]), Privilege::Root), Remedy::Unknown);
    }
}
