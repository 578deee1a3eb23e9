//! `/v1/products`

use serde_json::{Value, json};

use super::{Product, URL, WHAT};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::route::{Route, route};
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;

/// Stripe's product parameters that the sandbox does not act out.
const UNMODELLED: &[&str] = &[
    "attributes",
    "caption",
    "deactivate_on",
    "default_price_data",
    "package_dimensions?",
    "tax_code?",
    "type",
];

pub(crate) const ROUTES: &[Route] = &[
    route("POST", "/v1/products", create, "product"),
    route("GET", "/v1/products", list, "list:product"),
    route("GET", "/v1/products/:id", retrieve, "product"),
    route("POST", "/v1/products/:id", update, "product"),
    route("DELETE", "/v1/products/:id", delete, "product"),
];

impl Product {
    /// Reads what creation and update have in common.
    fn change(&mut self, params: &Params<'_>) -> Result<()> {
        if let Some(active) = params.boolean("active")? {
            self.active = active;
        }
        if let Some(name) = params.string("name")? {
            name.clone_into(&mut self.name);
        }
        params
            .nullable("description")?
            .map(str::to_owned)
            .apply(&mut self.description);
        if let Some(images) = params.strings("images")? {
            self.images = images.into_iter().map(str::to_owned).collect();
        }
        if let Some(shippable) = params.boolean("shippable")? {
            self.shippable = Some(shippable);
        }
        params
            .nullable("statement_descriptor")?
            .map(str::to_owned)
            .apply(&mut self.statement_descriptor);
        params
            .nullable("unit_label")?
            .map(str::to_owned)
            .apply(&mut self.unit_label);
        params
            .nullable("url")?
            .map(str::to_owned)
            .apply(&mut self.url);
        self.metadata = params.metadata()?.apply(&self.metadata)?;
        params.unmodelled(UNMODELLED)
    }
}

/// Checks the fields of a new product (`POST /v1/products`, or a price's `product_data`). The caller inserts
/// it with [`insert`] once everything else is checked too; without an id given, that gives it one.
pub(crate) fn prepare(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Product> {
    let given = params.string("id")?;
    if given.is_some_and(|id| ctx.account.products.contains(id)) {
        return Err(Error::invalid("Product already exists.")
            .code("resource_already_exists")
            .param(params.name("id")));
    }
    let name = params.required("name")?.to_owned();
    let mut product = Product::new(given.unwrap_or_default().into(), name, ctx.now);
    product.change(params)?;
    Ok(product)
}

/// Adds a product that [`prepare`] has checked, and says what id it has.
pub(crate) fn insert(ctx: &mut Ctx<'_>, mut product: Product) -> Id {
    if product.id.is_empty() {
        product.id = ctx.account.ids.next("prod", 14);
    }
    let id = product.id.clone();
    let rendered = product.to_json();
    ctx.account.products.insert(product);
    ctx.event("product.created", &rendered, ctx.now);
    id
}

/// `POST /v1/products`
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let product = prepare(ctx, params)?;
    params.finish()?;
    let id = insert(ctx, product);
    Ok(find(ctx, &id)?.to_json())
}

/// `GET /v1/products/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(find(ctx, &ctx.arg(0))?.to_json())
}

/// `POST /v1/products/:id`
pub(crate) fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let mut product = find(ctx, &ctx.arg(0))?.clone();
    let before = product.to_json();
    product.change(params)?;
    if let Some(price) = params.string("default_price")? {
        let found = ctx.account.prices.get(price);
        let found = found.filter(|found| found.product == product.id);
        let found = found.ok_or_else(|| Error::no_such("price", price, "default_price"))?;
        product.default_price = Some(found.id.clone());
    }
    params.finish()?;
    if product.to_json() != before {
        product.updated = ctx.now;
    }
    let after = product.to_json();
    if let Some(row) = ctx.account.products.get_mut(&ctx.arg(0)) {
        *row = product;
    }
    if after != before {
        ctx.update_event("product.updated", &before, &after, ctx.now);
    }
    Ok(after)
}

/// `DELETE /v1/products/:id`: of one that has no prices.
pub(crate) fn delete(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let product = find(ctx, &ctx.arg(0))?;
    if ctx
        .account
        .prices
        .table()
        .iter()
        .any(|price| price.product == product.id)
    {
        return Err(Error::invalid(
            "This product cannot be deleted because it has one or more user-created prices.",
        ));
    }
    let (id, before) = (product.id.clone(), product.to_json());
    ctx.account.products.remove(&id);
    ctx.event("product.deleted", &before, ctx.now);
    Ok(json!({"id": &*id, "object": "product", "deleted": true}))
}

/// `GET /v1/products`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let active = params.boolean("active")?;
    let ids = params.strings("ids")?;
    let url = params.string("url")?;
    let created = Created::read(params)?;
    let shippable = params.boolean("shippable")?;
    params.unmodelled(&["type"])?;
    params.finish()?;
    let cut = page.of_table(&ctx.account.products, WHAT, |product| {
        active.is_none_or(|active| active == product.active)
            && ids.as_ref().is_none_or(|ids| ids.contains(&&*product.id))
            && url.is_none_or(|url| product.url.as_deref() == Some(url))
            && (shippable.is_none() || shippable == product.shippable)
            && created.accepts(product.created)
    })?;
    Ok(cut.to_json(URL, Product::to_json))
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Product> {
    let product = ctx.account.products.get(id);
    product.ok_or_else(|| Error::not_found(WHAT, id))
}
