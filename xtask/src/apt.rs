//! Packages of Debian and its kin, where we may install them.

use std::process::{Command, Stdio};

use crate::{Failure, Result};

/// The rights that we have on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    Root,
    /// `sudo` asks for no password.
    Sudo,
    None,
}

/// Returns the rights of this user.
pub fn privilege() -> Privilege {
    if says("id", &["-u"]).as_deref() == Some("0") {
        Privilege::Root
    } else if says("sudo", &["-n", "true"]).is_some() {
        Privilege::Sudo
    } else {
        Privilege::None
    }
}

/// The line to type where we may not install.
pub fn typed(packages: &[&str]) -> String {
    format!("sudo apt-get update && sudo apt-get install --no-install-recommends {}", packages.join(" "))
}

/// Installs packages.
pub fn install(sudo: bool, packages: &[&str]) -> Result {
    // One unreachable source among many fails the update and still leaves the lists that the installation needs.
    if let Err(failure) = apt_get(sudo, &["update", "--quiet"]) {
        eprintln!("warning: {}", failure.message);
    }
    apt_get(sudo, &[&["install", "--quiet", "--yes", "--no-install-recommends"], packages].concat())
}

fn apt_get(sudo: bool, arguments: &[&str]) -> Result {
    let line = install_line(sudo, arguments);
    let status = Command::new(line[0]).args(&line[1..]).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("`{}` failed ({status})", line.join(" ")))),
        Err(error) => Err(Failure::new(format!("cannot run `{}`: {error}", line.join(" ")))),
    }
}

/// `env` sets the variable behind `sudo`, which passes none on. Another apt at work is waited for.
fn install_line<'a>(sudo: bool, arguments: &[&'a str]) -> Vec<&'a str> {
    let mut line = if sudo { vec!["sudo", "-n"] } else { Vec::new() };
    line.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"]);
    line.extend(arguments);
    line
}

/// The trimmed output of a program that succeeds.
pub fn says(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_asks_nothing_and_waits_for_the_lock() {
        assert_eq!(
            install_line(true, &["update"]).join(" "),
            "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 update"
        );
        assert_eq!(install_line(false, &["update"])[0], "env");
    }
}
