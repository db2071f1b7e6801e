//! Takes the two files of Swagger UI that the page of the API needs out of the archive that their crate is, compressed
//! as they are sent.

use std::{
    env, error,
    fs::File,
    io::{self, Cursor, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

const FILES: [&str; 2] = ["swagger-ui-bundle.js", "swagger-ui.css"];

fn main() -> Result<(), Box<dyn error::Error>> {
    writeln!(io::stdout(), "cargo::rerun-if-changed=build.rs")?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo says no OUT_DIR")?);
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for file in FILES {
        let path = Path::new("dist").join(file);
        let at = (0..archive.len()).find(|at| {
            archive.by_index_raw(*at).is_ok_and(|it| {
                it.name().is_ok_and(|name| {
                    // `flavors/` has others of the same name.
                    Path::new(&*name).components().count() == 3
                        && Path::new(&*name).ends_with(&path)
                })
            })
        });
        let mut from = archive.by_index(at.ok_or_else(|| format!("Swagger UI has no {file}"))?)?;
        let to = File::create(out.join(format!("{file}.gz")))?;
        let mut to = GzEncoder::new(to, Compression::best());
        io::copy(&mut from, &mut to)?;
        to.finish()?;
    }
    Ok(())
}
