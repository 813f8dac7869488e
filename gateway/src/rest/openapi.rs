//! The OpenAPI document, put together from the route table: what is served is what is described.

use utoipa::openapi::path::{Operation, PathItem, Paths};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::routes::{Access, Handler, ROUTES, Route, Verb};
use crate::problem::ProblemDocument;

/// Names of the ways to sign in, as in `components.securitySchemes`.
const SCHEMES: [&str; 3] = ["api_key", "token", "basic"];
const PROBLEM: &str = "application/problem+json";

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    let mut paths = Paths::new();
    let mut components = ComponentsBuilder::new()
        .schema(ProblemDocument::name(), ProblemDocument::schema())
        .security_scheme(
            "api_key",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                "x-api-key",
                "An API key. The header `api-key` is understood too.",
            ))),
        )
        .security_scheme(
            "token",
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .bearer_format("JWT")
                    .description(Some("A token from `POST /security/user/authenticate`."))
                    .build(),
            ),
        )
        .security_scheme("basic", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)));
    for route in ROUTES {
        let Handler::Documented(build) = route.handler else {
            continue;
        };
        let (schemas, documented, _) = build();
        for (name, schema) in schemas {
            components = components.schema(name, schema);
        }
        for (path, mut item) in documented.paths {
            if let Some(operation) = operation(&mut item, route.verb) {
                complete(operation, route);
            }
            match paths.paths.get_mut(&path) {
                Some(known) => known.merge_operations(item),
                None => {
                    paths.paths.insert(path, item);
                }
            }
        }
    }
    let info = InfoBuilder::new()
        .title("Picket")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Events in, alerts out. Lists answer `{\"items\": […], \"next_cursor\": …}`; every error is a problem \
             document (RFC 9457).",
        ))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ))
        .build();
    let mut document = OpenApi::new(info, paths);
    document.components = Some(components.build());
    document
}

fn operation(item: &mut PathItem, verb: Verb) -> Option<&mut Operation> {
    match verb {
        Verb::Get => item.get.as_mut(),
        Verb::Post => item.post.as_mut(),
        Verb::Put => item.put.as_mut(),
        Verb::Delete => item.delete.as_mut(),
    }
}

/// Adds what follows from the route table: a unique name, who may call it, and the errors every route has.
fn complete(operation: &mut Operation, route: &Route) {
    let path: String = route
        .path
        .chars()
        .filter(|c| !matches!(c, '{' | '}'))
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    operation.operation_id = Some(format!("{}{path}", route.verb.as_str().to_ascii_lowercase()));
    let mut errors = vec![
        ("400", "Something in the request is wrong; the detail names it"),
        ("429", "Too many requests; `Retry-After` says when to try again"),
        ("500", "A fault of Picket's own"),
        ("503", "Something Picket depends on is away; try again"),
        ("504", "It took too long"),
    ];
    if let Access::Role(role) = route.access {
        errors.push(("401", "Credentials are missing or wrong"));
        errors.push(("403", "The role does not suffice"));
        operation.security = Some(SCHEMES.map(|name| SecurityRequirement::new(name, [""; 0])).to_vec());
        let role_line = format!("Role: {role}.");
        operation.description = Some(match operation.description.take() {
            Some(text) if !text.is_empty() => format!("{text}\n\n{role_line}"),
            _ => role_line,
        });
    }
    if route.path.contains('{') {
        errors.push(("404", "There is none"));
    }
    if route.verb != Verb::Get {
        errors.push(("409", "It exists already, or something else stands against it"));
    }
    if matches!(route.verb, Verb::Post | Verb::Put) {
        errors.push(("413", "The body is too large"));
        errors.push(("415", "The body's type is not understood"));
    }
    for (status, description) in errors {
        operation
            .responses
            .responses
            .entry(status.to_owned())
            .or_insert_with(|| problem(description));
    }
}

fn problem(description: &str) -> RefOr<utoipa::openapi::Response> {
    let reference = Ref::from_schema_name(ProblemDocument::name());
    let content = ContentBuilder::new().schema(Some(reference)).build();
    RefOr::T(
        ResponseBuilder::new()
            .description(description)
            .content(PROBLEM, content)
            .build(),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_has_exactly_the_documented_routes() {
        let document = document();
        let mut described = BTreeSet::new();
        for (path, item) in &document.paths.paths {
            for (verb, operation) in [
                ("GET", &item.get),
                ("POST", &item.post),
                ("PUT", &item.put),
                ("DELETE", &item.delete),
            ] {
                if operation.is_some() {
                    described.insert((path.clone(), verb));
                }
            }
        }
        let routes: BTreeSet<(String, &str)> = ROUTES
            .iter()
            .filter(|route| route.is_documented())
            .map(|route| (route.path.to_owned(), route.verb.as_str()))
            .collect();
        assert_eq!(described, routes);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
        let text = document().to_json().unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(
            json["openapi"].as_str().unwrap().starts_with("3.1"),
            "{}",
            json["openapi"]
        );
        let mut references = 0;
        for part in text.split("\"$ref\":\"").skip(1) {
            let target = part.split('"').next().unwrap();
            let pointer = target.strip_prefix('#').unwrap();
            assert!(json.pointer(pointer).is_some(), "{target} leads nowhere");
            references += 1;
        }
        assert!(references > 20);
        let ids: Vec<&str> = text
            .split("\"operationId\":\"")
            .skip(1)
            .map(|part| part.split('"').next().unwrap())
            .collect();
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len());
    }

    #[test]
    fn operations_say_who_may_call_them() {
        let document = document();
        let json = serde_json::to_value(&document).unwrap();
        assert!(json["paths"]["/health"]["get"]["security"].is_null());
        assert_eq!(
            json["paths"]["/audit"]["get"]["security"].as_array().unwrap().len(),
            SCHEMES.len()
        );
        let description = json["paths"]["/audit"]["get"]["description"].as_str().unwrap();
        assert!(description.ends_with("Role: admin."), "{description}");
    }
}
