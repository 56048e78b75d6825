//! The text of a kernel that is put together from plain files.

/// The head of a text with parts behind it, each after an empty line.
pub(crate) fn joined<'p>(head: String, parts: impl IntoIterator<Item = &'p str>) -> String {
    parts.into_iter().fold(head, |mut text, part| {
        text.push('\n');
        text.push_str(part);
        text
    })
}
