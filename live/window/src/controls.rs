//! Widgets for the controls of a stage.

use eframe::egui::{Button, ComboBox, Response, Slider, Ui};
use fourfold_scenes::{Control, Kind, Value};

/// The text on a control: its label and its key.
fn caption(control: &Control) -> String {
    match control.key {
        Some(key) => format!("{} ({})", control.label, key.to_uppercase()),
        None => control.label.to_string(),
    }
}

/// Shows the controls, and returns those that were used with their new values.
pub(crate) fn show(ui: &mut Ui, controls: &[Control]) -> Vec<(&'static str, Value)> {
    controls.iter().filter_map(|control| Some((control.name, widget(ui, control)?))).collect()
}

fn widget(ui: &mut Ui, control: &Control) -> Option<Value> {
    let caption = caption(control);
    let used = |response: &Response| response.clone().on_hover_text(control.help).changed();
    match &control.kind {
        Kind::Button => ui.add(Button::new(caption)).on_hover_text(control.help).clicked().then_some(Value::Pressed),
        Kind::Toggle(on) => {
            let mut on = *on;
            used(&ui.checkbox(&mut on, caption)).then_some(Value::On(on))
        }
        Kind::Slider { value, range: [least, greatest], step, logarithmic } => {
            let mut number = *value;
            let slider = Slider::new(&mut number, *least..=*greatest).logarithmic(*logarithmic).text(caption);
            let slider = if *logarithmic { slider } else { slider.step_by(*step) };
            used(&ui.add(slider)).then_some(Value::Number(number.clamp(*least, *greatest)))
        }
        Kind::Choice { value, options } => {
            let mut index = *value;
            let shown = options.get(index).map_or("", |option| option);
            ComboBox::from_label(caption)
                .selected_text(shown)
                .show_index(ui, &mut index, options.len(), |index| options[index].as_ref());
            (index != *value).then_some(Value::Index(index))
        }
    }
}
