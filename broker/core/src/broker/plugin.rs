//! Plugins as the broker holds them: the backend and its routes, parsed once.

use std::{collections::HashMap, sync::Arc};

use crate::{
    error::{Error, ErrorKind, Result},
    json::{self, Splice},
    port::backend::{Backend, PluginAnswer, Plugins},
    request::Answer,
    route::{Mount, Routes},
    sealed::{Form, SealedValue},
    secret::Secret,
    shards::Shards,
};

/// A plugin with its routes; cheap to clone.
pub(super) type Plugin = Arc<Parts>;

/// What a plugin is made of.
pub(super) struct Parts {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) routes: Arc<Routes>,
}

/// All plugins that were asked for so far.
pub(super) struct Loaded {
    plugins: Arc<dyn Plugins>,
    known: Shards<HashMap<String, Plugin>>,
}

impl Loaded {
    pub(super) fn new(plugins: Arc<dyn Plugins>) -> Self {
        Self { plugins, known: Shards::default() }
    }

    /// The plugin behind a mount, loudly absent when it is not loaded.
    pub(super) fn of(&self, mount: &Mount) -> Result<Plugin> {
        let name = &mount.scope.plugin;
        if let Some(plugin) = self.known.read().get(name) {
            return Ok(plugin.clone());
        }
        let missing = || {
            let words = format!("plugin {name} of mount {} is not loaded", mount.path);
            Error::new(ErrorKind::Unavailable, words).in_plugin(name.as_str(), mount.path.as_str())
        };
        let backend = self.plugins.find(name).ok_or_else(missing)?;
        let routes = Routes::compile(backend.description())
            .map_err(|e| Error::internal(e).in_plugin(name.as_str(), mount.path.as_str()))?;
        let plugin = Arc::new(Parts { backend, routes: Arc::new(routes) });
        self.known.write().insert(name.clone(), plugin.clone());
        Ok(plugin)
    }
}

/// Puts a plugin's sealed values where its answer has nulls.
pub(super) fn reveal(answer: PluginAnswer) -> Result<Answer> {
    Ok(match answer {
        PluginAnswer::Document { data, secrets } => Answer::Document(join(&data, &secrets)?),
        PluginAnswer::Gone { data, secrets } => Answer::Gone(join(&data, &secrets)?),
        PluginAnswer::Names(keys) => Answer::Names { keys },
        PluginAnswer::Nothing => Answer::Nothing,
        PluginAnswer::Raw { status, content_type, body } => {
            Answer::Raw { status, content_type, body: Secret::new(body) }
        }
    })
}

fn join(data: &str, secrets: &[(String, SealedValue)]) -> Result<Secret> {
    let wrong = |e: json::JsonError| {
        Error::new(ErrorKind::UpstreamProtocol, "the plugin's answer is not what it declared").because(e)
    };
    let data = json::check(data.as_bytes()).map_err(wrong)?;
    let mut wire = Vec::with_capacity(secrets.len());
    for (pointer, value) in secrets {
        wire.push((pointer.as_str(), on_the_wire(value)?));
    }
    let splices: Vec<Splice<'_>> =
        wire.iter().map(|(pointer, text)| Splice { pointer, text: text.expose_str().unwrap_or("null") }).collect();
    json::splice(data, &splices).map_err(wrong)
}

/// Text as a JSON string, a document as itself, bytes as base64 in a string.
fn on_the_wire(value: &SealedValue) -> Result<Secret> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let broken = || Error::new(ErrorKind::UpstreamProtocol, "a sealed value is not what its form says");
    match value.form {
        Form::Document => {
            json::check(value.bytes.expose()).map_err(|e| broken().because(e))?;
            Ok(value.bytes.clone())
        }
        Form::Text => {
            let text = value.bytes.expose_str().ok_or_else(broken)?;
            Ok(json::string_text(text))
        }
        Form::Bytes => {
            let text = zeroize::Zeroizing::new(STANDARD.encode(value.bytes.expose()));
            Ok(Secret::from(format!("\"{}\"", text.as_str())))
        }
    }
}
