//! `/v1/products`

use serde_json::{Value, json};

use super::{NAME, Product, URL};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;

/// Parameters that the sandbox does not model.
const UNMODELLED: &[&str] = &[
    "attributes",
    "caption",
    "deactivate_on",
    "default_price_data",
    "package_dimensions?",
    "tax_code?",
    "type",
];

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new("POST", "/v1/products", "product", prepare, create),
        Route::new("GET", "/v1/products", "list:product", read_list, list),
        Route::without_params("GET", "/v1/products/:id", "product", retrieve),
        Route::new("POST", "/v1/products/:id", "product", read_update, update),
        Route::without_params("DELETE", "/v1/products/:id", "product", delete),
    ]
}

impl Product {
    /// Reads the parameters that creation and update share.
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

/// Reads and checks a new product (`POST /v1/products`, or a price's `product_data`). The caller adds it with
/// [`insert`] once everything else is checked, which also chooses an id if none is given.
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

/// Adds a product that [`prepare`] has checked, and returns its id.
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
fn create(ctx: &mut Ctx<'_>, product: Product) -> Result<Value> {
    let id = insert(ctx, product);
    Ok(find(ctx, &id)?.to_json())
}

/// `GET /v1/products/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(find(ctx, &ctx.arg(0))?.to_json())
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Product> {
    let mut product = find(ctx, &ctx.arg(0))?.clone();
    product.change(params)?;
    if let Some(price) = params.string("default_price")? {
        let found = ctx.account.prices.get(price);
        let found = found.filter(|found| found.product == product.id);
        let found = found.ok_or_else(|| Error::no_such("price", price, "default_price"))?;
        product.default_price = Some(found.id.clone());
    }
    Ok(product)
}

/// `POST /v1/products/:id`
fn update(ctx: &mut Ctx<'_>, mut product: Product) -> Result<Value> {
    let before = find(ctx, &product.id)?.to_json();
    if product.to_json() != before {
        product.updated = ctx.now;
    }
    let after = product.to_json();
    if let Some(row) = ctx.account.products.get_mut(&product.id.clone()) {
        *row = product;
    }
    if after != before {
        ctx.update_event("product.updated", &before, &after, ctx.now);
    }
    Ok(after)
}

/// `DELETE /v1/products/:id`: deletes one without prices.
fn delete(ctx: &mut Ctx<'_>) -> Result<Value> {
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

/// The filter of a list.
struct Filter {
    page: Page,
    active: Option<bool>,
    ids: Option<Vec<String>>,
    url: Option<String>,
    created: Created,
    shippable: Option<bool>,
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    let owned = |ids: Vec<&str>| ids.into_iter().map(str::to_owned).collect();
    let filter = Filter {
        page: Page::read(params)?,
        active: params.boolean("active")?,
        ids: params.strings("ids")?.map(owned),
        url: params.string("url")?.map(str::to_owned),
        created: Created::read(params)?,
        shippable: params.boolean("shippable")?,
    };
    params.unmodelled(&["type"])?;
    Ok(filter)
}

/// `GET /v1/products`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let rows = filter
        .page
        .of_table(&ctx.account.products, NAME, |product| {
            filter.active.is_none_or(|active| active == product.active)
                && (filter.ids.as_ref()).is_none_or(|ids| ids.iter().any(|id| **id == *product.id))
                && (filter.url.as_deref()).is_none_or(|url| product.url.as_deref() == Some(url))
                && (filter.shippable.is_none() || filter.shippable == product.shippable)
                && filter.created.accepts(product.created)
        })?;
    Ok(rows.to_json(URL, Product::to_json))
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Product> {
    let product = ctx.account.products.get(id);
    product.ok_or_else(|| Error::not_found(NAME, id))
}
