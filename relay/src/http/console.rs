//! The console: files that were built before and lie in this program. There is no path to the disk here.
//!
//! A file is found by its exact name or not at all, so no spelling of a path leads anywhere else (WEB-14). Names
//! below `assets/` carry a hash of what they hold and may be kept for a year; the page that names them may not be
//! kept at all. A relay that was built without the console says so in one short page.

use super::problem::{Code, Problem, language};
use super::{Api, page};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use cloud_doctor_proto::refusal::Language;
use std::sync::Arc;

/// What the page may do (H-01): load our own files and speak to this relay; never a script that stands in the page,
/// never markup made from text but by the one policy of its framework.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      font-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
                      form-action 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html";
const KEPT: &str = "public, max-age=31536000, immutable";
const ASSETS: &str = "assets/";
const INDEX: &str = "index.html";
/// Longest path that may mean a place inside the page.
const PLACE_CHARS_MAX: usize = 256;

/// A built file, with its packed forms.
#[derive(Debug, Clone, Copy)]
struct File {
    path: &'static str,
    plain: &'static [u8],
    br: Option<&'static [u8]>,
    gz: Option<&'static [u8]>,
}

/// The files of a console.
#[derive(Debug, Clone, Copy)]
pub struct Console(&'static [File]);

impl Console {
    /// What this program was built with; no files when the console was not built.
    #[must_use]
    pub fn embedded() -> Self {
        Self(include!(concat!(env!("OUT_DIR"), "/console.rs")))
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_there(self) -> bool {
        self.file(INDEX).is_some()
    }

    /// The paths of all its files.
    pub fn paths(self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|file| file.path)
    }

    fn file(self, path: &str) -> Option<&'static File> {
        self.0.iter().find(|file| file.path == path)
    }

    /// The file that a request path means. Places inside the page have no dot and look like words.
    fn find(self, path: &str) -> Option<&'static File> {
        let path = path.strip_prefix('/')?;
        let place = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
        let is_place = path.len() <= PLACE_CHARS_MAX && path.chars().all(place) && !path.starts_with("api/");
        self.file(path).or_else(|| self.file(INDEX).filter(|_| is_place && path != "api"))
    }

    fn answer(self, path: &str, headers: &HeaderMap) -> Option<Response> {
        if path == "/" && !self.is_there() {
            return Some(without_console(language(headers)));
        }
        let file = self.find(path)?;
        let mut answer = Response::new(Body::empty());
        let mut set = |name: HeaderName, value: &'static str| {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        };
        set(header::CONTENT_TYPE, content_type(file.path));
        if file.path.starts_with(ASSETS) {
            set(header::CACHE_CONTROL, KEPT);
        }
        if file.br.is_some() || file.gz.is_some() {
            set(header::VARY, "accept-encoding");
        }
        let bytes = match (file.br, file.gz) {
            (Some(packed), _) if takes(headers, "br") => {
                set(header::CONTENT_ENCODING, "br");
                packed
            }
            (_, Some(packed)) if takes(headers, "gzip") => {
                set(header::CONTENT_ENCODING, "gzip");
                packed
            }
            (Some(_) | None, Some(_) | None) => file.plain,
        };
        *answer.body_mut() = Body::from(bytes);
        Some(answer)
    }
}

/// Whatever no route has.
pub(super) async fn serve(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (path, headers) = (request.uri().path(), request.headers());
    let found = match *request.method() {
        Method::GET | Method::HEAD => api.console.answer(path, headers),
        _ => None,
    };
    let Some(mut answer) = found else { return Problem::from(Code::Unknown).into_response() };
    let to = page::stream_origin(&api, headers).map(|origin| format!(" {origin}")).unwrap_or_default();
    if let Ok(policy) = HeaderValue::try_from(format!("{POLICY}; connect-src 'self'{to}")) {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

fn without_console(language: Language) -> Response {
    let (tag, title, text) = match language {
        Language::En => ("en", "No console", "This build of the relay has no console. Use the cloud-doctor command."),
        Language::Zh => ("zh-CN", "没有控制台", "此中继构建时未包含控制台。请使用 cloud-doctor 命令。"),
    };
    let page = format!(
        "<!doctype html>\n<html lang=\"{tag}\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<p>{text}</p>\n</html>\n"
    );
    (StatusCode::OK, [(header::CONTENT_TYPE, content_type(INDEX))], page).into_response()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Whether a client takes this packing; a weight of zero means no.
fn takes(headers: &HeaderMap, packing: &str) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|wish| {
        let (name, weight) = wish.split_once(';').unwrap_or((wish, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case(packing) && weight.is_some_and(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FILES: &[File] = &[
        File { path: "assets/main-a1b2.js", plain: b"plain", br: Some(b"br"), gz: Some(b"gz") },
        File { path: "favicon.svg", plain: b"<svg/>", br: None, gz: None },
        File { path: "index.html", plain: b"<!doctype html>", br: None, gz: Some(b"gz") },
    ];

    async fn get(path: &str, wish: &str) -> Option<(HeaderMap, Vec<u8>)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, wish.parse().unwrap());
        let (head, body) = Console(FILES).answer(path, &headers)?.into_parts();
        Some((head.headers, axum::body::to_bytes(body, 1000).await.unwrap().to_vec()))
    }

    #[tokio::test]
    async fn files_come_packed_as_asked_and_hashed_names_are_kept() {
        for (wish, expected) in [
            ("gzip, deflate, br", "br"),
            ("gzip;q=0.8", "gz"),
            ("br;q=0, gzip", "gz"),
            ("identity", "plain"),
            ("br;q=0, gzip;q=0.0", "plain"),
            ("brotli", "plain"),
        ] {
            let (headers, body) = get("/assets/main-a1b2.js", wish).await.unwrap();
            assert_eq!(body, expected.as_bytes(), "{wish}");
            assert_eq!(headers.get(header::CONTENT_ENCODING).is_some(), expected != "plain");
            assert_eq!(headers[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
            assert_eq!(
                (&headers[header::CACHE_CONTROL], &headers[header::VARY]),
                (&KEPT.parse().unwrap(), &"accept-encoding".parse().unwrap())
            );
        }
        for unkept in ["/", "/index.html", "/favicon.svg"] {
            let (headers, _) = get(unkept, "identity").await.unwrap();
            assert!(!headers.contains_key(header::CACHE_CONTROL), "{unkept}: the edge forbids keeping it");
        }
    }

    #[tokio::test]
    async fn web_14_a_path_means_a_file_a_place_in_the_page_or_nothing() {
        for place in ["/", "/servers", "/servers/abc-12/terminal", "/dashboard", "/ASSETS"] {
            assert_eq!(get(place, "identity").await.unwrap().1, b"<!doctype html>", "{place}");
        }
        let long = format!("/{}", "a".repeat(257));
        for nothing in [
            "/api",
            "/api/",
            "/api/v1/nothing",
            "/dashboard..",
            "/../etc/passwd",
            "/..%2f..%2fetc/passwd",
            "/%2e%2e/x",
            "/assets/..",
            "/assets/../index.html",
            "/assets//main-a1b2.js",
            "/Assets/main-a1b2.js",
            "/INDEX.HTML",
            "/index.html%00",
            "/%00",
            "/index.html/",
            "//evil.example",
            "/assets/main-a1b2.js.br",
            "/a\\b",
            "/a b",
            "/main.js.map",
            "/.git/config",
            "*",
            "",
            &long,
        ] {
            assert!(get(nothing, "br").await.is_none(), "{nothing}");
        }
    }

    #[test]
    fn a_relay_without_a_console_says_so_and_has_nothing_else() {
        let none = Console(&[]);
        let answer = none.answer("/", &HeaderMap::new()).unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        for path in ["/index.html", "/servers", "/assets/x.js"] {
            assert!(none.answer(path, &HeaderMap::new()).is_none(), "{path}");
        }
    }
}
