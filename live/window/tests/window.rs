//! The window without a display: buttons are pressed, keys too, and what is painted is looked at.

use std::time::{Duration, Instant};

use eframe::egui::epaint::ColorMode;
use eframe::egui::{Color32, Event, Key, Shape, TextureId, Vec2, ViewportId};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use fourfold::Gpu;
use fourfold::wgpu::{PollStatus, PollType};
use fourfold_live::{Application, Arguments, Device};
use fourfold_scenes::Counts;

type Window = Harness<'static, Application>;

fn window(word: &str) -> Window {
    let arguments = Arguments { word: word.into(), ..Arguments::default() };
    let application = Application::new(&arguments, Device::Own);
    Harness::builder()
        .with_size(Vec2::new(1100.0, 680.0))
        .build_ui_state(|ui, window: &mut Application| window.show(ui), application)
}

fn reading(window: &Window, name: &str) -> f64 {
    let readings = window.state().stage().expect("the scene is open").readings();
    readings.iter().find(|reading| reading.name == name).unwrap_or_else(|| panic!("{name}: {readings:?}")).value
}

fn counts(window: &Window) -> Counts {
    window.state().stage().expect("the scene is open").counts()
}

/// Frames until a condition holds.
fn frames_until(window: &mut Window, done: impl Fn(&Window) -> bool) {
    let start = Instant::now();
    while !done(window) {
        window.step();
        std::thread::sleep(Duration::from_millis(1));
        // Far longer than a loaded machine takes.
        assert!(start.elapsed() < Duration::from_secs(300), "{:?}", counts(window));
    }
}

/// The shapes that the last frame painted in one of these colours.
fn painted(window: &Window, colours: &[[u8; 3]]) -> usize {
    let is = |colour: Color32| colours.iter().any(|[r, g, b]| colour == Color32::from_rgb(*r, *g, *b));
    window.output().shapes.iter().map(|clipped| count(&clipped.shape, &is)).sum()
}

fn count(shape: &Shape, is: &dyn Fn(Color32) -> bool) -> usize {
    let hit = match shape {
        Shape::Vec(shapes) => return shapes.iter().map(|shape| count(shape, is)).sum(),
        Shape::Circle(circle) => is(circle.fill) || is(circle.stroke.color),
        Shape::LineSegment { stroke, .. } => is(stroke.color),
        Shape::Path(path) => is(path.fill) || matches!(path.stroke.color, ColorMode::Solid(colour) if is(colour)),
        Shape::Rect(rect) => is(rect.fill),
        _ => false,
    };
    usize::from(hit)
}

/// The pictures that the last frame painted: a mesh or rectangle with a texture that is not the letters'.
fn pictures(window: &Window) -> usize {
    let with_texture = |shape: &Shape| shape.texture_id() != TextureId::default();
    window.output().shapes.iter().filter(|clipped| with_texture(&clipped.shape)).count()
}

fn type_text(window: &mut Window, text: &str) {
    window.event(Event::Text(text.into()));
    window.step();
}

#[test]
fn the_score_holds_when_shuffle_is_pressed() {
    let mut window = window("neuron");
    for _ in 0..4 {
        type_text(&mut window, "+");
    }
    frames_until(&mut window, |window| reading(window, "step") >= 600.0);
    let before = reading(&window, "score");
    window.get_by_label("Shuffle now (S)").click();
    let end = reading(&window, "step") + 500.0;
    frames_until(&mut window, |window| reading(window, "step") >= end);
    let [after, perceptron] = ["score", "perceptron's score"].map(|name| reading(&window, name));
    assert!(after > 0.8 * before && perceptron < 0.5 * after, "{before}, then {after} and {perceptron}");
    // Poles that are up have the full colour of their policy, on a light or a dark ground; others are pale.
    let (neuron, perceptron) = (painted(&window, &[[0, 114, 178], [72, 164, 222]]), painted(&window, &[[230, 159, 0]]));
    assert!(neuron > 2 * perceptron && pictures(&window) == 1, "{neuron} and {perceptron}");
}

#[test]
fn the_car_is_painted_with_what_it_is_shown() {
    let mut window = window("car");
    frames_until(&mut window, |window| reading(window, "step") >= 4.0);
    window.get_by_label("Shuffle now (S)").click();
    let end = reading(&window, "step") + 4.0;
    frames_until(&mut window, |window| reading(window, "step") >= end);
    assert_eq!((pictures(&window), reading(&window, "patches")), (2, 64.0));
}

#[test]
fn digits_change_the_scene_and_space_pauses_it() {
    let mut window = window("neuron");
    type_text(&mut window, "2");
    frames_until(&mut window, |window| reading(window, "PES") < 2_500.0);
    window.key_press(Key::Space);
    window.step();
    assert!(!window.state().stage().unwrap().is_playing());
    let steps = counts(&window).steps;
    for _ in 0..5 {
        window.step();
    }
    assert_eq!(counts(&window).steps, steps);
    assert_eq!(pictures(&window), 1, "the map");
    type_text(&mut window, ".");
    assert_eq!(counts(&window).steps, steps + 1);
}

#[test]
fn sam_is_painted_with_its_curves_and_slices() {
    let mut window = window("sam");
    frames_until(&mut window, |window| reading(window, "step") >= 40.0);
    assert!(painted(&window, &[[230, 159, 0]]) > 2 && pictures(&window) == 2);
}

#[test]
fn a_lost_device_leaves_a_message_and_a_way_on() {
    let mut window = window("neuron");
    frames_until(&mut window, |window| reading(window, "step") >= 2.0);
    window.state().stage().unwrap().gpu().device().destroy();
    frames_until(&mut window, |window| window.query_by_label("Open a new device").is_some());
    assert!(window.query_by_label_contains("The scene has stopped: the GPU device was lost").is_some());
    // Controls of a lost scene are harmless.
    type_text(&mut window, "s");
    window.get_by_label("Open a new device").click();
    window.step();
    frames_until(&mut window, |window| reading(window, "step") >= 2.0);
    assert!(window.query_by_label("Open a new device").is_none());
}

#[test]
fn any_size_is_painted_and_a_minimised_window_takes_no_steps() {
    let mut window = window("neuron");
    for size in [[420.0, 900.0], [320.0, 240.0], [1.0, 1.0], [1600.0, 500.0]] {
        window.set_size(Vec2::from(size));
        let end = counts(&window).frames + 3;
        frames_until(&mut window, |window| counts(window).frames >= end);
    }
    window.input_mut().viewports.entry(ViewportId::ROOT).or_default().minimized = Some(true);
    window.step();
    let before = counts(&window);
    window.step();
    assert_eq!(counts(&window), before);
}

#[test]
fn a_scene_may_compute_on_the_device_of_the_window() {
    // Any device that is not the scene's own.
    let gpu = Gpu::open().unwrap();
    let application =
        Application::new(&Arguments::default(), Device::Shared(gpu.device().clone(), gpu.queue().clone()));
    let mut window: Window =
        Harness::builder().build_ui_state(|ui, window: &mut Application| window.show(ui), application);
    assert_eq!(window.state().stage().unwrap().gpu().device(), gpu.device());
    frames_until(&mut window, |window| reading(window, "step") >= 4.0);
}

#[test]
fn closing_the_window_waits_for_no_readback_and_drops_it() {
    let mut window = window("neuron");
    frames_until(&mut window, |window| reading(window, "step") >= 4.0);
    // A second or so of work in one submission, and its readback.
    let (many, before) = (2_000, counts(&window).steps);
    type_text(&mut window, &".".repeat(many));
    frames_until(&mut window, |window| counts(window).steps >= before + many as u64);
    let gpu = window.state().stage().unwrap().gpu().clone();
    drop(window);
    // The work goes on, so that nobody waited for it.
    assert_eq!(gpu.device().poll(PollType::Poll).unwrap(), PollStatus::Poll);
    // It ends without an error, although who had asked for the values is gone; the device is free for others.
    #[expect(clippy::disallowed_methods, reason = "a test may wait")]
    gpu.wait().unwrap();
    assert_eq!(gpu.device().poll(PollType::Poll).unwrap(), PollStatus::QueueEmpty);
    assert!(gpu.lost().is_none());
    let application =
        Application::new(&Arguments::default(), Device::Shared(gpu.device().clone(), gpu.queue().clone()));
    let mut another: Window =
        Harness::builder().build_ui_state(|ui, window: &mut Application| window.show(ui), application);
    frames_until(&mut another, |window| reading(window, "step") >= 4.0);
}
