//! Choices between variants of a kernel that were measured on a device, in place of the rules.

use std::fmt;

/// A family of kernels of which several variants compute one shape.
///
/// Its shapes fall into [classes](Family::class), within which one variant is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Matrix products of 16 rows and columns or more, by the elements of the output.
    MatrixProduct,
    /// Convolutions and their input gradients, by the elements of the output.
    Convolution,
    /// Weight gradients of convolutions, by the weights.
    WeightGradient,
    /// Kernels that read 64 rows or more (softmax, layer norm, losses, reductions), by the loads of a row.
    Rows,
    /// Sums of rows into the rows of a table, by the rows of the table times those that are added.
    ScatterAdd,
}

impl Family {
    /// All families.
    pub const ALL: [Family; 5] =
        [Self::MatrixProduct, Self::Convolution, Self::WeightGradient, Self::Rows, Self::ScatterAdd];

    /// Returns its name in files and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MatrixProduct => "matrix product",
            Self::Convolution => "convolution",
            Self::WeightGradient => "weight gradient",
            Self::Rows => "rows",
            Self::ScatterAdd => "scatter-add",
        }
    }

    /// Lists the names of its variants. Not every device runs every one, and not every shape suits each.
    pub const fn variants(self) -> &'static [&'static str] {
        match self {
            Self::MatrixProduct => &[
                "workgroup tile 128 x 128",
                "workgroup tile 64 x 64",
                "workgroup tile 128 x 32",
                "workgroup tile 32 x 128",
                "workgroup tile 32 x 32",
                "subgroup tile 16 x 32",
                "subgroup tile 16 x 64",
                "register tile 32 x 64",
            ],
            Self::Convolution => &[
                "workgroup tile 128 x 128",
                "workgroup tile 64 x 64",
                "workgroup tile 128 x 32",
                "workgroup tile 32 x 128",
                "workgroup tile 32 x 32",
                "strips of 4 pixels",
                "strips of 8 pixels",
                "single pixels",
                "single outputs",
            ],
            Self::WeightGradient => &[
                "workgroup tile 128 x 128",
                "workgroup tile 64 x 64",
                "workgroup tile 128 x 32",
                "workgroup tile 32 x 128",
                "workgroup tile 32 x 32",
                "sliding windows",
                "single windows",
                "single outputs",
            ],
            Self::Rows => &["1 lane", "2 lanes", "4 lanes", "8 lanes", "16 lanes", "32 lanes", "64 lanes", "128 lanes"],
            Self::ScatterAdd => &["scan", "sort"],
        }
    }

    /// Returns the class of a shape of this size: the floor of its logarithm to base 4.
    pub fn class(size: usize) -> usize {
        (size.max(1).ilog2() as usize / 2).min(Choices::CLASSES - 1)
    }
}

/// A choice that decided a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Choice {
    /// The family of the kernel.
    pub family: Family,
    /// The class of the shape, below [`Choices::CLASSES`].
    pub class: usize,
    /// The index of the variant in [`Family::variants`].
    pub variant: usize,
}

impl fmt::Display for Choice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.family.variants().get(self.variant).unwrap_or(&"unknown"))
    }
}

/// The variants chosen for a device, none or one for each class of shapes of each family. The default is none: the rules
/// of the kernels decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Choices([[u8; Choices::CLASSES]; Family::ALL.len()]);

impl Choices {
    /// No choice.
    pub const NONE: Choices = Choices([[0; Choices::CLASSES]; Family::ALL.len()]);

    /// Classes of shapes of a family.
    pub const CLASSES: usize = 16;

    /// Returns the choices with one more; a later one of the same class replaces an earlier one.
    ///
    /// # Panics
    /// If there is no such class or variant.
    pub fn with(mut self, choice: Choice) -> Self {
        let Choice { family, class, variant } = choice;
        assert!(variant < family.variants().len(), "{}: no variant {variant}", family.name());
        self.0[family as usize][class] = variant as u8 + 1;
        self
    }

    /// Returns the choices with one variant for all classes of a family.
    ///
    /// # Panics
    /// If there is no such variant.
    pub fn with_all(self, family: Family, variant: usize) -> Self {
        (0..Self::CLASSES).fold(self, |choices, class| choices.with(Choice { family, class, variant }))
    }

    /// Returns the choice for a class of shapes, if there is one.
    pub fn get(&self, family: Family, class: usize) -> Option<Choice> {
        let variant = usize::from(*self.0[family as usize].get(class)?).checked_sub(1)?;
        Some(Choice { family, class, variant })
    }

    /// Iterates over all choices, by family and class.
    pub fn iter(&self) -> impl Iterator<Item = Choice> + '_ {
        let all = Family::ALL.into_iter().flat_map(|family| (0..Self::CLASSES).map(move |class| (family, class)));
        all.filter_map(|(family, class)| self.get(family, class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_for_one_class_of_one_family() {
        let choice = Choice { family: Family::Rows, class: Family::class(300), variant: 3 };
        let choices = Choices::default().with(choice);
        assert_eq!([256, 1023].map(Family::class), [4, 4]);
        assert_eq!(choices.get(Family::Rows, 4), Some(choice));
        assert_eq!([choices.get(Family::Rows, 5), choices.get(Family::Convolution, 4)], [None, None]);
        assert_eq!(choices.iter().collect::<Vec<_>>(), [choice]);
        assert_eq!(choice.to_string(), "8 lanes");
    }

    #[test]
    fn every_size_has_a_class() {
        assert_eq!([0, 1, 3, 4, 15, 16].map(Family::class), [0, 0, 0, 1, 1, 2]);
        assert_eq!(Family::class(usize::MAX), Choices::CLASSES - 1);
    }
}
