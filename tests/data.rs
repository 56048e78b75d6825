//! Data from files: the embedded digits, IDX files good and bad, checkpoints good and bad.

use std::fs;
use std::path::{Path, PathBuf};

use fourfold::data::cifar::Cifar;
use fourfold::data::{Checkpoint, Error, Split, Standardisation, cifar, digits, idx, mnist, svhn};
use fourfold_shaders::{Data, Element};

/// A folder that disappears with its value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("fourfold-data-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fashion-mnist")
}

/// A copy of the fixture to spoil.
fn copied_fixture(name: &str) -> Folder {
    let folder = Folder::new(name);
    for entry in fs::read_dir(fixture()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join(&entry.file_name().to_string_lossy())).unwrap();
    }
    folder
}

fn idx_bytes(dimensions: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    bytes.extend(dimensions.iter().flat_map(|extent| extent.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn message<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().to_string()
}

mod the_digits {
    use super::*;

    #[test]
    fn are_1797_images_with_the_known_class_counts() {
        let digits = digits();
        assert_eq!(digits.len(), 1797);
        assert_eq!(digits.image_shape(), [8, 8].into());
        assert_eq!(digits.class_counts(), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    }

    #[test]
    fn begin_with_the_known_first_digit() {
        let digits = digits();
        let first_rows = [0., 0., 5., 13., 9., 1., 0., 0., 0., 0., 13., 15., 10., 15., 5., 0.];
        assert_eq!(digits.image(0)[..16], first_rows.map(|pixel| pixel / 16.0));
        assert_eq!(digits.labels()[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn have_the_known_sum_of_pixels() {
        let sum: f32 = digits().images().iter().map(|pixel| pixel * 16.0).sum::<f32>();
        assert_eq!(sum, 561_718.0);
    }
}

mod idx_files {
    use super::*;

    #[test]
    fn are_read_plain_and_gzipped_alike() {
        let folder = Folder::new("plain");
        let compressed = fixture().join("train-labels-idx1-ubyte.gz");
        let labels = idx::read(&compressed).unwrap();
        let plain = folder.join("train-labels-idx1-ubyte");
        fs::write(&plain, idx_bytes(&[200], &labels.values)).unwrap();
        assert_eq!(idx::read(&plain).unwrap(), labels);
    }

    #[test]
    fn that_break_off_are_refused_with_the_count() {
        let error = message(idx::parse("images", &idx_bytes(&[2, 3], &[1, 2, 3, 4, 5])));
        assert_eq!(error, "images: expected 6 values (2 x 3), got 5 values");
    }

    #[test]
    fn that_go_on_too_long_are_refused() {
        let error = message(idx::parse("images", &idx_bytes(&[2, 2], &[1, 2, 3, 4, 5])));
        assert_eq!(error, "images: expected 4 values (2 x 2), got more");
    }

    #[test]
    fn of_another_kind_are_refused_with_their_magic_number() {
        let error = message(idx::parse("picture", b"\x89PNG\r\n"));
        assert_eq!(error, "picture: expected the IDX magic number 0x000008 and a rank, got 0x89504e47");
    }

    #[test]
    fn of_another_element_type_are_refused() {
        let error = message(idx::parse("floats", &[0, 0, 0x0d, 1, 0, 0, 0, 1, 0, 0, 0, 0]));
        assert!(error.ends_with("got 0x00000d01"), "{error}");
    }

    #[test]
    fn cut_anywhere_are_refused_plain_and_gzipped() {
        let compressed = fs::read(fixture().join("t10k-labels-idx1-ubyte.gz")).unwrap();
        let values = idx::parse("whole", &compressed).unwrap().values;
        for whole in [compressed, idx_bytes(&[100], &values)] {
            for length in 0..whole.len() {
                let error = message(idx::parse("cut", &whole[..length]));
                assert!(error.starts_with("cut: expected "), "{length}: {error}");
            }
        }
    }

    #[test]
    fn with_a_flipped_byte_inside_gzip_never_pass_for_the_whole() {
        let compressed = fs::read(fixture().join("t10k-labels-idx1-ubyte.gz")).unwrap();
        let whole = idx::parse("whole", &compressed).unwrap();
        // The first ten bytes are gzip's header, whose time and origin say nothing about the content.
        for position in 10..compressed.len() {
            let mut spoilt = compressed.clone();
            spoilt[position] ^= 0x55;
            if let Ok(read) = idx::parse("spoilt", &spoilt) {
                assert_eq!(read, whole, "byte {position}");
            }
        }
    }
}

mod mnist_folders {
    use super::*;

    #[test]
    fn of_the_fixture_hold_the_first_images_of_fashion_mnist() {
        let Split { training, test } = mnist::load(&fixture(), "fashion-mnist").unwrap();
        assert_eq!((training.len(), test.len()), (200, 100));
        assert_eq!(
            (training.name(), training.image_shape(), training.classes()),
            ("fashion-mnist", [28, 28].into(), 10)
        );
        assert_eq!(training.labels()[..10], [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]);
        assert_eq!(test.class_counts(), [8, 13, 14, 9, 10, 9, 8, 11, 12, 6]);
        let sum: f64 = training.images().iter().map(|&pixel| f64::from(pixel) * 255.0).sum();
        assert_eq!(sum.round(), 11_409_065.0);
    }

    #[test]
    fn may_mix_plain_and_gzipped_files() {
        let folder = copied_fixture("mixed");
        let labels = idx::read(&folder.join("t10k-labels-idx1-ubyte.gz")).unwrap();
        fs::remove_file(folder.join("t10k-labels-idx1-ubyte.gz")).unwrap();
        fs::write(folder.join("t10k-labels-idx1-ubyte"), idx_bytes(&[100], &labels.values)).unwrap();
        assert_eq!(mnist::load(&folder.0, "a").unwrap(), mnist::load(&fixture(), "a").unwrap());
    }

    #[test]
    fn that_do_not_exist_are_named() {
        let folder = Folder::new("absent").join("nowhere");
        let error = message(mnist::load(&folder, "mnist"));
        assert!(error.starts_with(&format!("cannot read {}: ", folder.display())), "{error}");
    }

    #[test]
    fn that_lack_a_file_are_refused_with_its_name() {
        let folder = copied_fixture("lacking");
        fs::remove_file(folder.join("t10k-images-idx3-ubyte.gz")).unwrap();
        let expected = "expected the file t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz, got neither";
        assert_eq!(message(mnist::load(&folder.0, "mnist")), format!("{}: {expected}", folder.0.display()));
    }

    #[test]
    fn with_a_label_out_of_range_are_refused_with_file_and_index() {
        let folder = copied_fixture("label");
        let file = folder.join("t10k-labels-idx1-ubyte.gz");
        let mut labels = idx::read(&file).unwrap().values;
        labels[37] = 10;
        fs::write(&file, idx_bytes(&[100], &labels)).unwrap();
        let error = message(mnist::load(&folder.0, "mnist"));
        assert_eq!(error, format!("{}: expected labels below 10, got 10 at index 37", file.display()));
    }

    #[test]
    fn with_fewer_labels_than_images_are_refused_with_both_counts() {
        let folder = copied_fixture("count");
        let file = folder.join("t10k-labels-idx1-ubyte.gz");
        fs::write(&file, idx_bytes(&[99], &[0; 99])).unwrap();
        let error = message(mnist::load(&folder.0, "mnist"));
        assert_eq!(error, format!("{}: expected 100 labels, one for each image, got 99", file.display()));
    }

    #[test]
    fn with_labels_in_place_of_images_are_refused() {
        let folder = copied_fixture("swapped");
        let file = folder.join("train-images-idx3-ubyte.gz");
        fs::write(&file, idx_bytes(&[200], &[0; 200])).unwrap();
        let error = message(mnist::load(&folder.0, "mnist"));
        assert!(error.ends_with("expected 3 dimensions (rows, height, width), got 1 (200)"), "{error}");
    }

    #[test]
    fn whose_test_images_have_another_size_are_refused() {
        let folder = copied_fixture("size");
        let file = folder.join("t10k-images-idx3-ubyte.gz");
        fs::write(&file, idx_bytes(&[100, 14, 14], &[0; 100 * 14 * 14])).unwrap();
        let error = message(mnist::load(&folder.0, "mnist"));
        assert!(error.ends_with("expected images of 28 x 28, as for training, got images of 14 x 14"), "{error}");
    }

    #[test]
    fn are_standardised_by_their_training_set() {
        let Split { training, mut test } = mnist::load(&fixture(), "fashion-mnist").unwrap();
        let standardisation = Standardisation::per_channel(&training);
        // 11,409,065 is the sum of the bytes of the 200 training images.
        let mean = 11_409_065.0 / 255.0 / (200.0 * 784.0);
        assert!((f64::from(standardisation.mean[0]) - mean).abs() < 1e-6);
        let before = test.image(5)[300];
        standardisation.apply(&mut test);
        let expected = (before - standardisation.mean[0]) / standardisation.deviation[0];
        assert_eq!(test.image(5)[300], expected);
    }
}

mod checkpoints {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("model", "mlp 64-128-10");
        checkpoint.set("step", "1200");
        checkpoint.insert("layer.0.weight", &[2, 3], Data::F32(vec![1.0, -0.0, f32::NAN, 1e-40, 3e38, -2.5]));
        checkpoint.insert("layer.0.bias", &[3], Data::F32(vec![0.0, f32::INFINITY, -1.0]));
        checkpoint.insert("random", &[2], Data::U32(vec![0xDEAD_BEEF, 7]));
        checkpoint.insert("loss", &[], Data::F32(vec![0.25]));
        checkpoint.insert("none", &[0, 4], Data::F32(vec![]));
        checkpoint.insert_f64("state", &[2, 1], vec![1e-310, 0.1]);
        checkpoint
    }

    #[test]
    fn come_back_with_the_same_bits() {
        let folder = Folder::new("round-trip");
        let path = folder.join("a.safetensors");
        checkpoint().save(&path).unwrap();
        let loaded = Checkpoint::load(&path).unwrap();
        assert_eq!(loaded.to_bytes(), checkpoint().to_bytes());
        assert_eq!(loaded.get("step").unwrap(), "1200");
        assert_eq!(loaded.u32("random", &[2]).unwrap(), [0xDEAD_BEEF, 7]);
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let original = checkpoint();
        let expected = original.f32("layer.0.weight", &[2, 3]).unwrap();
        assert_eq!(bits(loaded.f32("layer.0.weight", &[2, 3]).unwrap()), bits(expected));
        assert_eq!(loaded.f64("state", &[2, 1]).unwrap(), [1e-310, 0.1]);
        assert_eq!(loaded.tensors().count(), 5);
    }

    #[test]
    fn that_are_equal_are_equal_bytes_in_whatever_order_they_were_filled() {
        let filled = |names: [&str; 3]| {
            let mut checkpoint = Checkpoint::new();
            for name in names {
                checkpoint.set(name, name);
                checkpoint.insert(name, &[1], Data::F32(vec![name.len() as f32]));
            }
            checkpoint.to_bytes()
        };
        assert_eq!(filled(["a", "bb", "ccc"]), filled(["ccc", "a", "bb"]));
    }

    #[test]
    fn hold_their_tensors_at_aligned_offsets() {
        let bytes = checkpoint().to_bytes();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert_eq!(header % 8, 0);
    }

    #[test]
    fn leave_nothing_beside_them_and_replace_what_was_there() {
        let folder = Folder::new("beside");
        let path = folder.join("a.safetensors");
        fs::write(&path, "older").unwrap();
        checkpoint().save(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), checkpoint().to_bytes());
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn that_cannot_be_written_are_an_error_and_leave_nothing() {
        let folder = Folder::new("unwritable");
        let path = folder.join("a.safetensors");
        // A folder in its place stops the renaming, for root too.
        fs::create_dir(&path).unwrap();
        let error = message(checkpoint().save(&path));
        assert!(error.starts_with(&format!("cannot write {}: ", path.display())), "{error}");
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn that_do_not_exist_are_named() {
        let path = Folder::new("missing").join("a.safetensors");
        let error = message(Checkpoint::load(&path));
        assert!(error.starts_with(&format!("cannot read {}: ", path.display())), "{error}");
    }

    #[test]
    fn cut_anywhere_are_refused() {
        let whole = checkpoint().to_bytes();
        for length in 0..whole.len() {
            let error = message(Checkpoint::from_bytes("cut", &whole[..length]));
            assert!(error.starts_with("cut: expected a whole safetensors file, got "), "{length}: {error}");
        }
    }

    #[test]
    fn with_a_spoilt_header_are_refused_or_read_but_never_panic() {
        let whole = checkpoint().to_bytes();
        let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        for position in 0..header {
            for flip in [0x01, 0x20, 0x80] {
                let mut spoilt = whole.clone();
                spoilt[position] ^= flip;
                if let Err(error) = Checkpoint::from_bytes("spoilt", &spoilt) {
                    assert!(error.to_string().starts_with("spoilt: "), "{error}");
                }
            }
        }
    }

    #[test]
    fn of_another_model_are_refused() {
        let loaded = Checkpoint::from_bytes("a.safetensors", &checkpoint().to_bytes()).unwrap();
        loaded.expect("model", "mlp 64-128-10").unwrap();
        let error = message(loaded.expect("model", "vit 4x64"));
        assert_eq!(error, "a.safetensors: expected a checkpoint with model `vit 4x64`, got `mlp 64-128-10`");
        let error = message(loaded.get("seed"));
        assert_eq!(error, "a.safetensors: expected an entry `seed` in the metadata, got none");
    }

    #[test]
    fn without_a_tensor_or_with_another_shape_or_type_are_refused_with_its_name() {
        let loaded = Checkpoint::from_bytes("a.safetensors", &checkpoint().to_bytes()).unwrap();
        assert_eq!(
            message(loaded.f32("head", &[2])),
            "a.safetensors: tensor `head`: expected F32 of shape [2], got no such tensor"
        );
        assert_eq!(
            message(loaded.f32("layer.0.weight", &[3, 2])),
            "a.safetensors: tensor `layer.0.weight`: expected F32 of shape [3, 2], got F32 of shape [2, 3]"
        );
        assert_eq!(
            message(loaded.tensor("layer.0.bias", Element::U32, &[3])),
            "a.safetensors: tensor `layer.0.bias`: expected U32 of shape [3], got F32 of shape [3]"
        );
    }

    #[test]
    fn with_elements_that_we_do_not_use_are_refused() {
        let mut bytes = checkpoint().to_bytes();
        let position = bytes.windows(3).position(|window| window == b"U32").unwrap();
        bytes[position..position + 3].copy_from_slice(b"I32");
        let error = message(Checkpoint::from_bytes("ints", &bytes));
        assert_eq!(error, "ints: tensor `random`: expected F32, U32 or F64 elements, got I32");
    }
}

mod coloured_images {
    use super::*;

    #[test]
    fn of_cifar_100_are_read_from_the_files_of_its_archive() {
        let folder = Folder::new("cifar-100");
        let image = |coarse: u8, fine: u8| [vec![coarse, fine], vec![51; 3072]].concat();
        fs::write(folder.join("train.bin"), [image(3, 40), image(19, 99)].concat()).unwrap();
        assert!(message(cifar::load(&folder.0, Cifar::Hundred)).contains("test.bin"));
        fs::write(folder.join("test.bin"), image(0, 1)).unwrap();
        let Split { training, test } = cifar::load(&folder.0, Cifar::Hundred).unwrap();
        assert_eq!((training.labels(), test.labels(), training.classes()), (&[40, 99][..], &[1][..], 100));
        assert_eq!((training.name(), training.image(0)), ("cifar-100", &[0.2; 3072][..]));
        assert_eq!(cifar::load(&folder.0, Cifar::HundredCoarse).unwrap().training.labels(), [3, 19]);
        let missing = message(cifar::load(&folder.join("nowhere"), Cifar::Ten));
        assert!(missing.starts_with("cannot read ") && missing.contains("nowhere"), "{missing}");
    }

    /// Written by scipy, as the script beside them says.
    #[test]
    fn of_svhn_are_read_from_files_of_scipy() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/svhn");
        let Split { training, test } = svhn::load(&folder, svhn::Images::Training).unwrap();
        assert_eq!((training.labels(), test.labels()), (&[1, 9, 0][..], &[2, 0][..]));
        assert_eq!((training.image_shape(), training.name()), ([32, 32, 3].into(), "svhn"));
        // The pixel at (row, column) of channel c of image n is (7 row + 3 column + 50 c + 11 n) mod 256.
        for (set, images) in [(&training, 3), (&test, 2)] {
            for (index, &got) in set.images().iter().enumerate() {
                let (channel, column, row) = (index % 3, index / 3 % 32, index / 96 % 32);
                let expected = (7 * row + 3 * column + 50 * channel + 11 * (index / 3072)) % 256;
                assert_eq!(got, expected as f32 / 255.0, "number {index} of {images} images");
            }
        }
        let both = svhn::load(&folder, svhn::Images::WithExtra);
        assert!(message(both).contains("extra_32x32.mat"));
    }
}
