//! What a request carries.

use std::io;

use bytes::Bytes;
use http::HeaderValue;
use serde::Serialize;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::Error;

/// A file, as the one part of a `multipart/form-data` body, by the name `file`. Its `Debug` does not show its data.
#[derive(Clone)]
pub struct File {
    data: Bytes,
    name: String,
    media_type: String,
}

impl File {
    /// A file of no media type in particular, called `blob`, as browsers call one without a name.
    pub fn new(data: impl Into<Bytes>) -> Self {
        let media_type = "application/octet-stream".into();
        Self { data: data.into(), name: "blob".into(), media_type }
    }

    /// The same, called `name`.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The same, of a media type such as `image/png`.
    #[must_use]
    pub fn media_type(self, media_type: impl Into<String>) -> Self {
        Self { media_type: media_type.into(), ..self }
    }

    /// A form with this file in it (RFC 7578), between marks that are in no file.
    fn form(&self, mark: &str) -> Result<Vec<u8>, Error> {
        let Self { data, name, media_type } = self;
        if HeaderValue::try_from(media_type).is_err() {
            return Err(Error::Invalid(format!("{media_type:?} is no media type")));
        }
        let name = escape(name);
        let head = format!(
            "--{mark}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {media_type}\r\n\r\n"
        );
        Ok([head.as_bytes(), data, format!("\r\n--{mark}--\r\n").as_bytes()].concat())
    }
}

/// A file's name as browsers write it (HTML, section 4.10.21.8, "multipart form data").
fn escape(name: &str) -> String {
    name.replace('\n', "%0A").replace('\r', "%0D").replace('"', "%22")
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a request carries; cheap to copy, so that it can be sent again.
#[derive(Clone)]
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    pub(crate) media_type: HeaderValue,
}

impl Body {
    /// `record` as JSON. It may hold secrets: what it was written to is wiped once it was sent.
    pub(crate) fn json(record: &impl Serialize) -> Result<Self, Error> {
        let wrong = |error| Error::Invalid(format!("the record cannot be written: {error}"));
        // Measured first: a buffer that grows leaves copies behind.
        let mut length = Length(0);
        serde_json::to_writer(&mut length, record).map_err(wrong)?;
        let mut json = Zeroizing::new(Vec::with_capacity(length.0));
        serde_json::to_writer(&mut *json, record).map_err(wrong)?;
        let media_type = HeaderValue::from_static("application/json");
        Ok(Self { bytes: Bytes::from_owner(json), media_type })
    }

    pub(crate) const fn buffer(bytes: Bytes) -> Self {
        Self { bytes, media_type: HeaderValue::from_static("application/octet-stream") }
    }

    pub(crate) fn file(file: &File) -> Result<Self, Error> {
        let mark = format!("keyfob-{}", Uuid::new_v4().simple());
        let media_type = format!("multipart/form-data; boundary={mark}");
        let media_type =
            HeaderValue::try_from(media_type).map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(Self { bytes: file.form(&mark)?.into(), media_type })
    }
}

/// Counts what is written.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_the_file_its_name_and_its_media_type() {
        let file = File::new("data").name("a \"b\"\r\n.txt").media_type("text/plain");
        let form = String::from_utf8(file.form("MARK").unwrap()).unwrap();
        let wanted = "--MARK\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a %22b%22%0D%0A.txt\"\r\nContent-Type: text/plain\r\n\r\ndata\r\n--MARK--\r\n";
        assert_eq!(form, wanted);
        assert!(File::new("data").media_type("a\r\nb").form("MARK").is_err());
    }

    #[test]
    fn a_file_is_shown_without_its_data() {
        let shown = format!("{:?}", File::new("hidden").name("a.txt"));
        assert!(shown.contains("a.txt") && !shown.contains("hidden"), "{shown}");
    }
}
