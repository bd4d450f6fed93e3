//! `grpc.reflection.v1`: the protobufs of this server, for tools that have none.
//!
//! They are those of `warder-proto`, compiled when it was; nothing here depends on state or on
//! who asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::LazyLock,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorProto};
use tonic::{Code, Request, Response, Status, Streaming};
use warder_proto::{
    DESCRIPTORS,
    reflection::{
        ErrorResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest as Question,
        ServerReflectionResponse as Answer, ServiceResponse, server_reflection_request::MessageRequest as Asked,
        server_reflection_response::MessageResponse as Told, server_reflection_server::ServerReflection,
    },
};

use super::{call::Call, streams::Begun};

type Answers = Pin<Box<dyn Stream<Item = Result<Answer, Status>> + Send>>;

#[tonic::async_trait]
impl ServerReflection for Call {
    type ServerReflectionInfoStream = Answers;

    async fn server_reflection_info(&self, asked: Request<Streaming<Question>>) -> Result<Response<Answers>, Status> {
        let begun = self.edge().streams.begin().map_err(|refusal| self.refuse(&refusal))?;
        let (questions, patience) = (asked.into_inner(), self.limits().request);
        let answers = stream::unfold(Some((questions, begun)), move |asking| async move {
            let (mut questions, mut begun) = asking?;
            match next(&mut questions, &mut begun, patience).await {
                Ok(None) => None,
                Ok(Some(question)) => Some((Ok(answer(question)), Some((questions, begun)))),
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

async fn next(
    questions: &mut Streaming<Question>,
    begun: &mut Begun,
    patience: std::time::Duration,
) -> Result<Option<Question>, Status> {
    tokio::select! {
        () = begun.stopped() => Err(Status::unavailable("the server shuts down")),
        asked = tokio::time::timeout(patience, questions.message()) => match asked {
            Ok(asked) => asked,
            Err(_) => Err(Status::deadline_exceeded("nothing was asked for too long")),
        },
    }
}

fn answer(question: Question) -> Answer {
    let told = match &question.message_request {
        Some(Asked::FileByFilename(name)) => INDEX.file(name),
        Some(Asked::FileContainingSymbol(symbol)) => INDEX.symbols.get(symbol).and_then(|file| INDEX.file(file)),
        Some(Asked::ListServices(_)) => Some(Told::ListServicesResponse(INDEX.services())),
        Some(Asked::FileContainingExtension(_) | Asked::AllExtensionNumbersOfType(_)) | None => None,
    };
    let unknown = || {
        let error_message = "there is nothing of this name".to_owned();
        Told::ErrorResponse(ErrorResponse { error_code: Code::NotFound.into(), error_message })
    };
    let message_response = Some(told.unwrap_or_else(unknown));
    Answer { valid_host: question.host.clone(), original_request: Some(question), message_response }
}

/// What can be asked for.
#[derive(Default)]
struct Index {
    files: BTreeMap<String, File>,
    /// The file of each full name.
    symbols: BTreeMap<String, String>,
    services: Vec<String>,
}

struct File {
    encoded: Bytes,
    imports: Vec<String>,
}

/// Empty if the descriptors do not decode, which a test looks at.
static INDEX: LazyLock<Index> = LazyLock::new(|| {
    // A `FileDescriptorSet` has the same shape, and here files keep options that we do not know.
    let set = FileDescriptorResponse::decode(DESCRIPTORS).unwrap_or_default();
    let mut index = Index::default();
    for encoded in set.file_descriptor_proto {
        if let Ok(file) = FileDescriptorProto::decode(&*encoded) {
            index.add(&file, encoded);
        }
    }
    index
});

impl Index {
    fn add(&mut self, file: &FileDescriptorProto, encoded: Bytes) {
        let (name, package) = (file.name().to_owned(), file.package());
        for message in &file.message_type {
            self.message(&name, package, message);
        }
        for one in &file.enum_type {
            self.symbol(&name, package, one.name());
        }
        for service in &file.service {
            let full = self.symbol(&name, package, service.name());
            for method in &service.method {
                self.symbol(&name, &full, method.name());
            }
            self.services.push(full);
        }
        self.files.insert(name, File { encoded, imports: file.dependency.clone() });
    }

    fn message(&mut self, file: &str, scope: &str, message: &DescriptorProto) {
        let full = self.symbol(file, scope, message.name());
        for nested in &message.nested_type {
            self.message(file, &full, nested);
        }
        for one in &message.enum_type {
            self.symbol(file, &full, one.name());
        }
    }

    fn symbol(&mut self, file: &str, scope: &str, name: &str) -> String {
        let full = format!("{scope}.{name}");
        self.symbols.insert(full.clone(), file.to_owned());
        full
    }

    fn services(&self) -> ListServiceResponse {
        let one = |name: &String| ServiceResponse { name: name.clone() };
        ListServiceResponse { service: self.services.iter().map(one).collect() }
    }

    /// A file and all that it imports, itself first.
    fn file(&self, name: &str) -> Option<Told> {
        self.files.get(name)?;
        let (mut seen, mut open, mut found) = (BTreeSet::new(), vec![name], Vec::new());
        while let Some(name) = open.pop() {
            let Some(file) = self.files.get(name).filter(|_| seen.insert(name)) else { continue };
            found.push(file.encoded.clone());
            open.extend(file.imports.iter().map(String::as_str));
        }
        Some(Told::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto: found }))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::METHODS, *};

    fn told(asked: Asked) -> Told {
        let question = Question { host: "h".to_owned(), message_request: Some(asked) };
        let answer = answer(question.clone());
        assert_eq!((&*answer.valid_host, answer.original_request), ("h", Some(question)));
        answer.message_response.unwrap()
    }

    fn names(told: Told) -> Vec<String> {
        let Told::FileDescriptorResponse(files) = told else { panic!("{told:?}") };
        let name = |file: &Bytes| FileDescriptorProto::decode(&**file).unwrap().name().to_owned();
        files.file_descriptor_proto.iter().map(name).collect()
    }

    #[test]
    fn every_method_of_the_door_is_described() {
        for method in METHODS.iter().filter(|method| !method.path.contains("v1alpha")) {
            let symbol = method.path[1..].replace('/', ".");
            assert!(INDEX.symbols.contains_key(&symbol), "{symbol}");
        }
        let Told::ListServicesResponse(services) = told(Asked::ListServices(String::new())) else { panic!() };
        assert_eq!(services.service.len(), 11);
    }

    #[test]
    fn a_file_comes_with_what_it_imports() {
        let asked = Asked::FileContainingSymbol("warder.v1.AuthService.Login".to_owned());
        let expected = ["warder/v1/auth.proto", "warder/v1/tokens.proto", "google/protobuf/timestamp.proto"];
        assert_eq!(names(told(asked)), expected);
        let asked = Asked::FileByFilename("google/protobuf/timestamp.proto".to_owned());
        assert_eq!(names(told(asked)), ["google/protobuf/timestamp.proto"]);
        let nested = Asked::FileContainingSymbol("grpc.health.v1.HealthCheckResponse.ServingStatus".to_owned());
        assert_eq!(names(told(nested)), ["grpc/health/v1/health.proto"]);
    }

    #[test]
    fn what_is_not_there_is_an_answer_too() {
        for asked in [
            Asked::FileByFilename("nothing.proto".to_owned()),
            Asked::FileContainingSymbol("warder.v1.Nothing".to_owned()),
            Asked::AllExtensionNumbersOfType("warder.v1.Mount".to_owned()),
        ] {
            assert!(matches!(told(asked), Told::ErrorResponse(error) if error.error_code == 5));
        }
    }
}
