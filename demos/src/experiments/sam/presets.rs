//! One preset for each table of the SAM paper whose data sets are here, and smaller ones of the same shape for a CPU.
//!
//! Full sizes are those of the paper's code: batches of 256 in 8 chunks of 32, the part of one of its devices, weight decay in
//! both passes, clipping to 5. Tables 2 and 3 (ImageNet, fine-tuning of EfficientNets) and Shake-Shake, ShakeDrop and AutoAugment
//! are not here; the optimiser and the augmentation of Table 4 are not printed, and are those of Table 1.

use crate::experiment::NamedPreset;

type Sizes = &'static [(&'static str, &'static str)];

const fn preset(name: &'static str, about: &'static str, sets: Sizes) -> NamedPreset {
    NamedPreset { name, about, sets }
}

/// A preset of the paper's code: data, model, augmentation, epochs, rate, rho and label noise.
macro_rules! paper {
    ($data:literal, $model:literal, $augment:literal, $epochs:literal, $rate:literal, $rho:literal, $noise:literal) => {
        &[
            ("data", $data),
            ("model", $model),
            ("augment", $augment),
            ("epochs", $epochs),
            ("rate", $rate),
            ("rho", $rho),
            ("label_noise", $noise),
            ("batch", "256"),
            ("chunks", "8"),
            ("weight_decay", "5e-4"),
            ("decay_inside", "true"),
            ("clip", "5"),
            ("lanczos", "0"),
        ]
    };
}

/// A preset for two cores: Fashion-MNIST's first 2,000 images, with model, epochs, rho and label noise.
macro_rules! small {
    ($model:literal, $epochs:literal, $rho:literal, $noise:literal) => {
        &[
            ("data", "fashion-mnist"),
            ("images", "2000"),
            ("model", $model),
            ("epochs", $epochs),
            ("rho", $rho),
            ("label_noise", $noise),
            ("batch", "128"),
            ("test_every", "10"),
            ("seeds", "3"),
        ]
    };
}

/// The presets of `fourfold sam`.
pub const PRESETS: &[NamedPreset] = &[
    preset(
        "wrn-28-10-cifar10",
        "Table 1, WRN-28-10, basic: 2.7 % error with SAM, 3.5 % without",
        paper!("cifar-10", "wrn-same:28,10", "crop-flip", "200", "0.1", "0.05", "0"),
    ),
    preset(
        "wrn-28-10-cifar10-cutout",
        "Table 1, WRN-28-10, cutout: 2.3 % and 2.6 %",
        paper!("cifar-10", "wrn-same:28,10", "crop-flip-cutout", "200", "0.1", "0.05", "0"),
    ),
    preset(
        "wrn-28-10-cifar100",
        "Table 1, WRN-28-10, basic: 16.5 % and 18.8 %",
        paper!("cifar-100", "wrn-same:28,10", "crop-flip", "200", "0.1", "0.1", "0"),
    ),
    preset(
        "pyramidnet-cifar10",
        "Table 1, PyramidNet, basic: 2.7 % and 4.0 %",
        paper!("cifar-10", "pyramidnet:272,200", "crop-flip", "1800", "0.05", "0.05", "0"),
    ),
    preset(
        "pyramidnet-cifar100",
        "Table 1, PyramidNet, basic: 14.6 % and 19.7 %",
        paper!("cifar-100", "pyramidnet:272,200", "crop-flip", "1800", "0.05", "0.2", "0"),
    ),
    preset(
        "wrn-28-10-svhn",
        "Table 5, WRN-28-10, basic: 1.42 % and 1.58 %",
        paper!("svhn-extra", "wrn-same:28,10", "crop-flip", "200", "0.01", "0.01", "0"),
    ),
    preset(
        "wrn-28-10-fashion-mnist",
        "Table 5, WRN-28-10, basic: 3.98 % and 4.57 %",
        paper!("fashion-mnist", "wrn-same:28,10", "crop-flip", "200", "0.1", "0.05", "0"),
    ),
    preset(
        "resnet-32-cifar10-noise",
        "Table 4, 40 % label noise: 93.4 % accuracy with SAM, 68.8 % without",
        paper!("cifar-10", "resnet:32", "crop-flip", "200", "0.1", "0.1", "0.4"),
    ),
    preset("small-fashion-mnist", "the shape of Table 5 on two cores", small!("cnn", "40", "0.1", "0")),
    preset("small-fashion-mnist-resnet", "the same with a ResNet of 8 layers", small!("resnet:8,8", "40", "0.1", "0")),
    preset("small-fashion-mnist-noise", "the shape of Table 4 on two cores", small!("cnn", "40", "0.1", "0.4")),
    preset(
        "small-fashion-mnist-noise-levels",
        "the same at five levels of noise, rho chosen on 2,000 held-back images, beside SGD for twice the epochs",
        &[
            ("data", "fashion-mnist"),
            ("images", "2000"),
            ("validation", "2000"),
            ("model", "cnn"),
            ("epochs", "40"),
            ("batch", "128"),
            ("test_every", "10"),
            ("lanczos", "0"),
            ("seeds", "3"),
            ("vary", "label-noise=0,0.2,0.4,0.6,0.8 rho=0.05,0.1,0.2"),
            ("double_sgd", "true"),
        ],
    ),
    preset(
        "small-fashion-mnist-noise-80",
        "the same for 80 epochs, which SGD uses to learn the wrong labels",
        small!("cnn", "80", "0.2", "0.4"),
    ),
];

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;
    use crate::data_name::DataName;
    use crate::experiment::defaults;
    use crate::options::Preset;

    #[test]
    fn every_preset_names_flags_and_values_that_there_are() {
        for preset in PRESETS {
            let settings: Settings = defaults(Preset::Named(preset.name)).unwrap();
            assert_ne!(settings, defaults(Preset::Default).unwrap(), "{}", preset.name);
        }
    }

    #[test]
    fn the_preset_of_the_papers_first_table_has_the_sizes_of_its_code() {
        let settings: Settings = defaults(Preset::Named("wrn-28-10-cifar10")).unwrap();
        assert_eq!((settings.data, &*settings.model), (DataName::Cifar10, "wrn-same:28,10"));
        assert_eq!((settings.epochs, settings.batch, settings.chunks), (200, 256, 8));
        assert_eq!((settings.rate, settings.rho, settings.clip), (0.1, 0.05, Some(5.0)));
        assert!(settings.decay_inside);
    }
}
