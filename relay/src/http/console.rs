//! The console: files that were built before and lie in this program. There is no path to the disk here.
//!
//! A path means a file by its exact name, a place inside the page, or nothing, so no spelling of a path leads anywhere else
//! (WEB-14). Names below `assets/` carry a hash of what they hold and may be kept for a year; the page that names them
//! may not be kept at all. A relay that was built without the console says so in one short page.

use super::problem::{Code, Problem, language};
use super::{Api, page};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use cloud_doctor_proto::refusal::Language;
use memory_serve::{Asset, CacheControl, MemoryServe};
use std::sync::{Arc, OnceLock};
use tower::ServiceExt as _;

/// What the page may do (H-01): load our own files and speak to this relay; never a script that stands in the page,
/// never markup made from text but by the one policy of its framework.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      font-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
                      form-action 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html";
const KEPT: &str = "public, max-age=31536000, immutable";
const ASSETS: &str = "/assets/";
const INDEX: &str = "/index.html";
/// Longest path that may mean a place inside the page.
const PLACE_CHARS_MAX: usize = 256;

/// The files of a console.
#[derive(Debug, Clone)]
pub struct Console {
    files: &'static [Asset],
    /// Packs them for those who take that; made once, kept for good.
    router: Arc<OnceLock<Router>>,
}

impl Console {
    /// What this program was built with; no files when the console was not built.
    #[must_use]
    pub fn embedded() -> Self {
        let folders: &[(&str, &[Asset])] = include!(concat!(env!("OUT_DIR"), "/memory_serve_assets.rs"));
        Self::of(folders.first().map_or(&[], |(_, files)| files))
    }

    fn of(files: &'static [Asset]) -> Self {
        Self { files, router: Arc::default() }
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.has(INDEX)
    }

    /// The paths of all its files, with the slash before them.
    pub fn paths(&self) -> impl Iterator<Item = &'static str> {
        self.files.iter().map(|file| file.route)
    }

    fn has(&self, path: &str) -> bool {
        self.paths().any(|known| known == path)
    }

    /// The file that a request path means. Places inside the page have no dot and look like words.
    fn find<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.has(path) {
            return Some(path);
        }
        let rest = path.strip_prefix('/')?;
        let place = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
        let is_place = rest.len() <= PLACE_CHARS_MAX && rest.chars().all(place);
        let is_api = rest == "api" || rest.starts_with("api/");
        (is_place && !is_api && self.is_there()).then_some(INDEX)
    }

    /// Makes all that is served: a tenth of a second's work, best done before anybody waits.
    pub fn pack(&self) {
        self.router();
    }

    fn router(&self) -> &Router {
        self.router.get_or_init(|| packed(self.files))
    }

    async fn answer(&self, path: &str, headers: &HeaderMap) -> Option<Response> {
        if path == "/" && !self.is_there() {
            return Some(without_console(language(headers)));
        }
        let file = self.find(path)?;
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::try_from(file).ok()?;
        *request.headers_mut() = headers.clone();
        let router = self.router().clone();
        let mut answer = router.oneshot(request).await.unwrap_or_else(|never| match never {});
        if !file.starts_with(ASSETS) {
            // Whatever goes around all answers forbids keeping.
            answer.headers_mut().remove(header::CACHE_CONTROL);
        }
        Some(answer)
    }
}

/// All files, packed as well where this is a program for production: packing takes an unoptimised one seconds.
fn packed(files: &'static [Asset]) -> Router {
    MemoryServe::new(files).cache_control(CacheControl::Custom(KEPT)).into_router()
}

/// Whatever no route has.
pub(super) async fn serve(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (path, headers) = (request.uri().path(), request.headers());
    let found = match *request.method() {
        Method::GET | Method::HEAD => api.console.answer(path, headers).await,
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
    (StatusCode::OK, [(header::CONTENT_TYPE, "text/html")], page).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn h_01_the_page_brings_the_same_policy_along_where_another_host_serves_it() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/web/index.html");
        let page = std::fs::read_to_string(file).unwrap();
        let (_, policy) = page.split_once("http-equiv=\"Content-Security-Policy\" content=\"").unwrap();
        let (policy, _) = policy.split_once('"').unwrap();
        let sorted = |policy: &str| {
            let mut all: Vec<_> = policy.split("; ").map(str::to_owned).collect();
            all.sort();
            all
        };
        // Only a header can forbid frames, and only the page, once it runs, knows its relay.
        let only_in_a_header = |policy: &str| policy.replace("frame-ancestors 'none'; ", "");
        assert_eq!(sorted(policy), sorted(&format!("{}; connect-src *", only_in_a_header(POLICY))));
    }

    const fn file(route: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Asset {
        let (path, etag, bytes) = ("", "0", Some(bytes));
        Asset { route, path, etag, content_type, bytes, is_compressed: false, should_compress: false }
    }

    const FILES: &[Asset] = &[
        file("/assets/main-a1b2.js", "text/javascript", b"plain"),
        file("/favicon.svg", "image/svg+xml", b"<svg/>"),
        file("/index.html", "text/html", b"<!doctype html>"),
    ];

    async fn get(path: &str) -> Option<(HeaderMap, Vec<u8>)> {
        let (head, body) = Console::of(FILES).answer(path, &HeaderMap::new()).await?.into_parts();
        Some((head.headers, axum::body::to_bytes(body, 1000).await.unwrap().to_vec()))
    }

    #[tokio::test]
    async fn hashed_names_are_kept_and_nothing_else() {
        let (headers, body) = get("/assets/main-a1b2.js").await.unwrap();
        assert_eq!(body, b"plain");
        assert_eq!(
            (&headers[header::CONTENT_TYPE], &headers[header::CACHE_CONTROL]),
            (&HeaderValue::from_static("text/javascript"), &HeaderValue::from_static(KEPT))
        );
        for unkept in ["/", "/index.html", "/favicon.svg"] {
            let (headers, _) = get(unkept).await.unwrap();
            assert!(!headers.contains_key(header::CACHE_CONTROL), "{unkept}: the edge forbids keeping it");
        }
    }

    #[tokio::test]
    async fn web_14_a_path_means_a_file_a_place_in_the_page_or_nothing() {
        for place in ["/", "/servers", "/servers/abc-12/terminal", "/dashboard", "/ASSETS"] {
            assert_eq!(get(place).await.unwrap().1, b"<!doctype html>", "{place}");
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
            assert!(get(nothing).await.is_none(), "{nothing}");
        }
    }

    #[tokio::test]
    async fn a_relay_without_a_console_says_so_and_has_nothing_else() {
        let none = Console::of(&[]);
        let answer = none.answer("/", &HeaderMap::new()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        for path in ["/index.html", "/servers", "/assets/x.js"] {
            assert!(none.answer(path, &HeaderMap::new()).await.is_none(), "{path}");
        }
    }
}
