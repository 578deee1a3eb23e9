//! Finds the route of a call by method and path.

use super::endpoints;
use crate::resource::ROUTES;
use crate::resource::route::Route;
use crate::version::ApiVersion;

/// The route of a call in a version, and the values of its path parameters.
pub(crate) fn find(
    method: &str,
    path: &str,
    version: ApiVersion,
) -> Option<(&'static Route, Vec<String>)> {
    // Without this, a removed path such as `/v1/invoices/upcoming` would match `:id`.
    if endpoints::is_removed(method, path, version) {
        return None;
    }
    ROUTES
        .iter()
        .filter(|route| route.method == method && route.available.includes(version))
        .find_map(|route| Some((route, path_params(route.path, path)?)))
}

/// The names of a version's routes, such as `GET /v1/customers/:id`. If two match a call, the first handles it.
pub(crate) fn names(version: ApiVersion) -> Vec<String> {
    let routes = ROUTES.iter();
    routes
        .filter(|route| route.available.includes(version))
        .map(Route::endpoint)
        .collect()
}

/// The values of a pattern's path parameters, if the path matches.
pub(crate) fn path_params(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut path_params = Vec::new();
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        let segment = segments.next()?;
        if !expected.starts_with(':') {
            if expected != segment {
                return None;
            }
            continue;
        }
        // `search` is an endpoint, not an id.
        if segment.is_empty() || segment == "search" {
            return None;
        }
        let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
        path_params.push(decoded.ok()?.into_owned());
    }
    segments.next().is_none().then_some(path_params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(method: &str, path: &str) -> Option<(&'static Route, Vec<String>)> {
        super::find(method, path, ApiVersion::V2022_11_15)
    }

    #[test]
    fn every_route_is_an_endpoint_of_stripe() {
        for version in ApiVersion::ALL {
            for route in ROUTES.iter() {
                let path = route.path.replace(":id", "x");
                let known = endpoints::exists_at_stripe(route.method, &path, version);
                let is_route = route.available.includes(version);
                assert!(known || !is_route, "{} in {version}", route.endpoint());
            }
        }
    }

    #[test]
    fn literal_segments_match_before_parameters() {
        let (route, path_params) = find("GET", "/v1/customers/search").expect("a route");
        assert_eq!((route.path, path_params.len()), ("/v1/customers/search", 0));
        let (route, path_params) =
            find("GET", "/v1/customers/cus%5F1/payment_methods").expect("a route");
        assert_eq!(route.endpoint(), "GET /v1/customers/:id/payment_methods");
        assert_eq!(path_params, ["cus_1"]);
        assert!(find("GET", "/v1/customers/").is_none());
        assert!(find("GET", "/v1/prices/search").is_none());
        assert!(find("PUT", "/v1/customers").is_none());
        assert!(find("GET", "/v1/customers/a/b").is_none());
        assert!(find("GET", "/v1/customers/%ff").is_none());
    }
}
