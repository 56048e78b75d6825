//! Controls that a visitor can press and move.

use std::borrow::Cow;

use crate::Error;

/// A control: the window and the page make a button, a switch, a slider or a choice of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// The name that [`Scene::set`](crate::Scene::set) takes.
    pub name: &'static str,
    /// The text on it.
    pub label: Cow<'static, str>,
    /// The key that presses a button, flips a switch, moves a slider up a step (down with shift) or takes the next choice.
    pub key: Option<char>,
    /// One sentence about what it does.
    pub help: &'static str,
    /// Its kind, with its present value.
    pub kind: Kind,
}

/// The kinds of controls, with their present values.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Does something once.
    Button,
    /// Is on or off.
    Toggle(bool),
    /// A number in a range.
    Slider {
        /// The present value.
        value: f64,
        /// The least and the greatest.
        range: [f64; 2],
        /// Values are the least plus multiples of it.
        step: f64,
        /// True if equal distances on the slider are equal factors.
        logarithmic: bool,
    },
    /// One of several.
    Choice {
        /// The index of the present one.
        value: usize,
        /// Their names.
        options: Vec<Cow<'static, str>>,
    },
}

/// The value that a control is set to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A button was pressed.
    Pressed,
    /// A switch is on or off.
    On(bool),
    /// A slider stands here.
    Number(f64),
    /// The choice of this index.
    Index(usize),
}

impl Control {
    /// A button.
    pub fn button(name: &'static str, label: impl Into<Cow<'static, str>>, key: char, help: &'static str) -> Self {
        Self { name, label: label.into(), key: Some(key), help, kind: Kind::Button }
    }

    /// A switch.
    pub fn toggle(
        name: &'static str,
        label: impl Into<Cow<'static, str>>,
        key: char,
        help: &'static str,
        on: bool,
    ) -> Self {
        Self { name, label: label.into(), key: Some(key), help, kind: Kind::Toggle(on) }
    }

    /// A slider without a key, of equal distances.
    pub fn slider(
        name: &'static str,
        label: impl Into<Cow<'static, str>>,
        help: &'static str,
        value: f64,
        range: [f64; 2],
        step: f64,
    ) -> Self {
        let kind = Kind::Slider { value, range, step, logarithmic: false };
        Self { name, label: label.into(), key: None, help, kind }
    }

    /// A choice.
    pub fn choice(
        name: &'static str,
        label: impl Into<Cow<'static, str>>,
        key: char,
        help: &'static str,
        value: usize,
        options: &[&'static str],
    ) -> Self {
        let options = options.iter().map(|&option| option.into()).collect();
        Self { name, label: label.into(), key: Some(key), help, kind: Kind::Choice { value, options } }
    }

    /// The same with another key.
    pub fn with_key(mut self, key: char) -> Self {
        self.key = Some(key);
        self
    }

    /// A slider on which equal distances are equal factors.
    pub fn logarithmic(mut self) -> Self {
        if let Kind::Slider { logarithmic, .. } = &mut self.kind {
            *logarithmic = true;
        }
        self
    }

    /// Returns what its key sets it to; `back` is the way of the key with shift.
    pub fn pressed(&self, back: bool) -> Value {
        match &self.kind {
            Kind::Button => Value::Pressed,
            Kind::Toggle(on) => Value::On(!on),
            Kind::Slider { value, range: [least, greatest], step, logarithmic } => {
                let moved = match (logarithmic, back) {
                    (false, false) => value + step,
                    (false, true) => value - step,
                    (true, false) => value * 2.0,
                    (true, true) => value / 2.0,
                };
                Value::Number(moved.clamp(*least, *greatest))
            }
            Kind::Choice { value, options } => {
                let count = options.len().max(1);
                Value::Index((value + if back { count - 1 } else { 1 }) % count)
            }
        }
    }

    /// Checks a value against the kind.
    ///
    /// # Errors
    /// A value of another kind, or out of range.
    pub fn check(&self, value: Value) -> Result<(), Error> {
        match (&self.kind, value) {
            (Kind::Button, Value::Pressed) | (Kind::Toggle(_), Value::On(_)) => Ok(()),
            (Kind::Slider { range: [least, greatest], .. }, Value::Number(number))
                if (*least..=*greatest).contains(&number) =>
            {
                Ok(())
            }
            (Kind::Choice { options, .. }, Value::Index(index)) if index < options.len() => Ok(()),
            (kind, value) => {
                let expected = match kind {
                    Kind::Button => "a press".into(),
                    Kind::Toggle(_) => "on or off".into(),
                    Kind::Slider { range: [least, greatest], .. } => format!("a number from {least} to {greatest}"),
                    Kind::Choice { options, .. } => format!("a choice below {}", options.len()),
                };
                Err(Error::input(self.name, expected, format!("{value:?}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_moves_every_kind_and_stays_in_range() {
        let slider = Control::slider("k", "K", "", 9.5, [1.0, 10.0], 1.0);
        assert_eq!([slider.pressed(false), slider.pressed(true)], [Value::Number(10.0), Value::Number(8.5)]);
        assert_eq!(slider.logarithmic().pressed(true), Value::Number(4.75));
        let choice = Control::choice("start", "Start", 'h', "", 0, &["easy", "hard", "mixed"]);
        assert_eq!([choice.pressed(false), choice.pressed(true)], [Value::Index(1), Value::Index(2)]);
        assert_eq!(Control::toggle("pause", "Pause", 'p', "", true).pressed(false), Value::On(false));
    }

    #[test]
    fn a_value_that_does_not_fit_is_one_sentence() {
        let slider = Control::slider("sigma", "Sigma", "", 1.0, [0.5, 2.0], 0.1);
        assert_eq!(slider.check(Value::Number(2.0)), Ok(()));
        for (value, got) in [(Value::Number(f64::NAN), "Number(NaN)"), (Value::On(true), "On(true)")] {
            let sentence = slider.check(value).unwrap_err().to_string();
            assert_eq!(sentence, format!("sigma: expected a number from 0.5 to 2, got {got}"));
        }
    }
}
