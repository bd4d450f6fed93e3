//! KV version 2: versioned secrets with check-and-set, soft delete and metadata.
//!
//! A secret's value is a sealed document from the request to the store and back: this plugin
//! routes handles and never holds a value. What it does hold, in plain JSON, is what is known of
//! the versions.
//!
//! Storage, below the mount: `config` ([`config::Config`]), `meta/{path}` ([`meta::Meta`]),
//! `ver/{path}/{n}` (the sealed value of version n, decimal). Invariant: a version that `meta`
//! lists and that is not destroyed has its value; no value stands without its entry.

mod config;
mod data;
mod meta;
mod metadata;
#[cfg(test)]
mod tests;
mod versions;

use warder_plugin::prelude::*;

const OPTIONS: Field =
    Field::document("options", "`{\"cas\": n}`: write only if n is the current version; 0: if absent.");
const DATA: Field = Field::document("data", "The secret: a JSON object.").sensitive();
const VERSION: Field = Field::integer("version", "Version to read; 0: the latest.").default("0");
const VERSIONS: &[Field] = &[Field::text_list("versions", "Version numbers.")];
const PAGE: &[Field] = &[
    Field::text("after", "List the names after this one."),
    Field::integer("limit", "List at most so many names; 0: all.").default("0"),
];
const SETTINGS: &[Field] = &[
    Field::integer("max_versions", "Versions to keep; 0: as the mount says. The larger of mount and secret counts."),
    Field::boolean("cas_required", "Refuse writes without `options.cas`."),
    Field::duration(
        "delete_version_after",
        "Soft-delete versions at this age; the smaller of mount and secret counts.",
    ),
    Field::document("custom_metadata", "Up to 64 strings by name, for people and tools. Not secret."),
    Field::boolean("metadata_cas_required", "Refuse changes of metadata without `metadata_cas`."),
    Field::integer("metadata_cas", "Change only if this is `current_metadata_version`; 0: if absent."),
    PAGE[0],
    PAGE[1],
];

/// The plugin.
pub const PLUGIN: Plugin = Plugin::secrets("kv", env!("CARGO_PKG_VERSION"), "Versioned key-value secrets.")
    .routes(&[
        Route::at("config", "Settings of the mount.")
            .fields(&[
                Field::integer("max_versions", "Versions to keep; 0: ten."),
                Field::boolean("cas_required", "Refuse writes without `options.cas`."),
                Field::duration("delete_version_after", "Soft-delete versions at this age; negative: never."),
                Field::boolean("metadata_cas_required", "Refuse changes of metadata without `metadata_cas`."),
            ])
            .read(handler!(config::read))
            .write(handler!(config::write)),
        Route::at("data/{path...}", "A secret's versions.")
            .fields(&[OPTIONS, DATA, VERSION])
            .exists(handler!(meta::exists))
            .read(handler!(data::read))
            .write(handler!(data::write))
            .patch(handler!(data::patch))
            .delete(handler!(data::delete)),
        Route::at("delete/{path...}", "Soft-deletes versions.").fields(VERSIONS).write(handler!(versions::delete)),
        Route::at("undelete/{path...}", "Restores versions.").fields(VERSIONS).write(handler!(versions::undelete)),
        Route::at("destroy/{path...}", "Destroys versions for good.")
            .fields(VERSIONS)
            .write(handler!(versions::destroy)),
        Route::at("subkeys/{path...}", "A secret's structure, every leaf null.")
            .fields(&[VERSION, Field::integer("depth", "Levels to show; 0: all.").default("0")])
            .read(handler!(data::subkeys)),
        Route::at("metadata/", "Names at the root.").fields(PAGE).list(handler!(metadata::list_root)),
        Route::at("metadata/{path...}", "What is known of a secret, and its settings.")
            .fields(SETTINGS)
            .exists(handler!(meta::exists))
            .read(handler!(metadata::read))
            .list(handler!(metadata::list))
            .write(handler!(metadata::write))
            .patch(handler!(metadata::patch))
            .delete(handler!(metadata::delete)),
        Route::at("detailed-metadata/", "Names at the root, with their metadata.")
            .fields(PAGE)
            .list(handler!(metadata::detailed_root)),
        Route::at("detailed-metadata/{path...}", "Names under a folder, with their metadata.")
            .fields(PAGE)
            .list(handler!(metadata::detailed)),
    ])
    .secret_routes(&[
        SecretRoute::new(SecretView::Value, "{path...}", "data/{path...}")
            .value_at("/data")
            .about_at("/metadata")
            .check_at("/options/cas"),
        SecretRoute::new(SecretView::Listing, "{path...}", "metadata/{path...}"),
        SecretRoute::new(SecretView::Versions, "{path...}", "metadata/{path...}"),
        SecretRoute::new(SecretView::Remove, "{path...}", "delete/{path...}"),
        SecretRoute::new(SecretView::Undelete, "{path...}", "undelete/{path...}"),
        SecretRoute::new(SecretView::Destroy, "{path...}", "destroy/{path...}"),
    ]);

warder_plugin::export!(PLUGIN);
