//! A film in the terminal, at the speed of its world, with keys.

use std::io::IsTerminal;
use std::rc::Rc;
use std::time::{Duration, Instant};

use console::Term;
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};

use super::Animation;
use crate::failure::Failure;

/// The columns of a terminal that a film is shown in.
const COLUMNS: std::ops::RangeInclusive<usize> = 64..=100;

/// A key that a spectator presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Shuffle,
    Noise,
    Restart,
    Quit,
}

impl Key {
    /// Returns the letter and what it does.
    fn label(self) -> (char, &'static str) {
        match self {
            Key::Shuffle => ('s', "shuffle the inputs"),
            Key::Noise => ('n', "noise inputs"),
            Key::Restart => ('r', "another episode"),
            Key::Quit => ('q', "quit"),
        }
    }
}

/// A terminal that gives single keys, until this is dropped.
struct Keyboard<'a>(&'a [Key]);

impl<'a> Keyboard<'a> {
    /// Returns none where keys cannot be read, as from a file.
    fn open(keys: &'a [Key]) -> Option<Self> {
        (std::io::stdin().is_terminal() && enable_raw_mode().is_ok()).then_some(Self(keys))
    }

    /// Returns the line that names the keys.
    fn line(&self) -> String {
        let labels = self.0.iter().chain(&[Key::Quit]).map(|key| key.label());
        labels.map(|(letter, meaning)| format!("{letter} {meaning}")).collect::<Vec<_>>().join("   ")
    }

    /// Waits for a key that means something.
    fn wait(&self, time: Duration) -> Option<Key> {
        let until = Instant::now() + time;
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            if !event::poll(rest).unwrap_or(false) {
                return None;
            }
            let Ok(Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. })) = event::read() else {
                continue;
            };
            match code {
                KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => return Some(Key::Quit),
                KeyCode::Char('q') | KeyCode::Esc => return Some(Key::Quit),
                KeyCode::Char(letter) => {
                    if let Some(&key) = self.0.iter().find(|key| key.label().0 == letter) {
                        return Some(key);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Drop for Keyboard<'_> {
    fn drop(&mut self) {
        let _ = disable_raw_mode();
    }
}

/// The answer to a key at a step: another film, and the step from which on it is shown.
pub type Answer<'a> = &'a mut dyn FnMut(Key, usize) -> Result<(Rc<dyn Animation>, usize), Failure>;

/// Shows a film with every `every`-th step, and answers `keys`; returns the film that was shown last, or none where there
/// is no terminal that is large enough.
///
/// # Errors
/// The terminal cannot be written, or those of the answer.
pub fn show(
    mut film: Rc<dyn Animation>,
    every: usize,
    keys: &[Key],
    mut answer: Option<Answer<'_>>,
) -> Result<Option<Rc<dyn Animation>>, Failure> {
    let terminal = Term::buffered_stdout();
    if !terminal.features().is_attended() {
        return Ok(None);
    }
    let (rows, columns) = terminal.size();
    let (rows, columns) = (usize::from(rows), usize::from(columns).saturating_sub(1).min(*COLUMNS.end()));
    if !COLUMNS.contains(&columns) || rows < film.rows(columns) {
        return Ok(None);
    }
    let failed = |error: std::io::Error| Failure::run(format!("cannot write to the terminal: {error}"));
    let coloured = console::colors_enabled();
    let keyboard = answer.as_ref().and_then(|_| Keyboard::open(keys));
    let (mut index, mut due, mut written) = (0, Instant::now(), 0);
    loop {
        let last = film.length() - 1;
        let pause = Duration::from_secs_f64(film.time_step() * every as f64);
        terminal.move_cursor_up(written).map_err(failed)?;
        let mut lines = film.lines(index, columns, rows - 1, coloured);
        lines.extend(keyboard.as_ref().map(|keyboard| format!("{:<columns$}", keyboard.line())));
        // A frame with fewer lines leaves none of the one before; raw terminals want the carriage back.
        lines.extend((lines.len()..written).map(|_| " ".repeat(columns)));
        for line in &lines {
            terminal.write_str(line).map_err(failed)?;
            terminal.write_str("\r\n").map_err(failed)?;
        }
        terminal.flush().map_err(failed)?;
        written = lines.len();
        due = (due + pause).max(Instant::now());
        let rest = due.saturating_duration_since(Instant::now());
        let key = match &keyboard {
            // The last frame stays until somebody wants something.
            Some(keyboard) => keyboard.wait(if index == last { Duration::from_secs(3_600) } else { rest }),
            None => {
                std::thread::sleep(rest);
                None
            }
        };
        match (key, &mut answer) {
            (Some(Key::Quit), _) => return Ok(Some(film)),
            (Some(key), Some(answer)) => {
                (film, index) = answer(key, index)?;
                due = Instant::now();
            }
            _ if index == last => return Ok(Some(film)),
            _ => index = (index + every).min(last),
        }
    }
}
