//! The program `fourfold-live`, which `fourfold live` starts.

use std::process::ExitCode;

use eframe::egui;
use fourfold_live::{Application, Arguments, Device};

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{}", Arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Err(sentence) => {
            eprintln!("error: {sentence}");
            return ExitCode::from(2);
        }
    };
    // The window library's own sentence has paths of its sources.
    let has_screen =
        ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"].iter().any(|name| std::env::var_os(name).is_some());
    if cfg!(target_os = "linux") && !has_screen {
        eprintln!(
            "error: expected a screen, got neither DISPLAY nor WAYLAND_DISPLAY; `fourfold live --gif FILE` needs none, and \
             `xvfb-run` brings one"
        );
        return ExitCode::FAILURE;
    }
    let viewport =
        egui::ViewportBuilder::default().with_inner_size([1200.0, 760.0]).with_min_inner_size([320.0, 240.0]);
    let options = eframe::NativeOptions { renderer: eframe::Renderer::Wgpu, viewport, ..Default::default() };
    let open = move |context: &eframe::CreationContext<'_>| -> Result<Box<dyn eframe::App>, _> {
        let device = match (arguments.share, &context.wgpu_render_state) {
            (true, Some(render)) => Device::Shared(render.device.clone(), render.queue.clone()),
            _ => Device::Own,
        };
        Ok(Box::new(Application::new(&arguments, device)))
    };
    match eframe::run_native("Fourfold live", options, Box::new(open)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: the window could not be opened: {error}");
            ExitCode::FAILURE
        }
    }
}
