//! gRPC's own protocols: health that follows the seal, reflection that a tool without protobufs
//! can build its calls from; and the bounds of a connection that carries them.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use prost_types::FileDescriptorProto;
use tonic::{Code, Request, Streaming, transport::Channel};
use warder_proto::{
    health::{
        HealthCheckRequest, HealthCheckResponse, HealthListRequest, health_check_response::ServingStatus,
        health_client::HealthClient,
    },
    reflection::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    },
    v1::{self, sys_service_client::SysServiceClient},
};

use crate::running::Running;

/// Longer than anything here takes; a hang ends the test.
const PATIENCE: Duration = Duration::from_secs(60);

async fn channel(warder: &Running) -> Channel {
    Channel::from_shared(format!("http://{}", warder.address)).unwrap().connect().await.unwrap()
}

async fn check(channel: &Channel, service: &str) -> Result<ServingStatus, Code> {
    let asked = HealthCheckRequest { service: service.to_owned() };
    let answered = HealthClient::new(channel.clone()).check(asked).await;
    answered.map(|answer| answer.into_inner().status()).map_err(|status| status.code())
}

async fn watch(channel: &Channel, service: &str) -> Streaming<HealthCheckResponse> {
    let asked = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(channel.clone()).watch(asked).await.unwrap().into_inner()
}

/// The next status of a watch, or the code that it ended with.
async fn next(watch: &mut Streaming<HealthCheckResponse>) -> Result<ServingStatus, Code> {
    match tokio::time::timeout(PATIENCE, watch.message()).await.expect("a watch says something") {
        Ok(answer) => Ok(answer.expect("a watch ends with a status").status()),
        Err(status) => Err(status.code()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_follows_the_seal_from_init_to_unseal() {
    use ServingStatus::{NotServing, ServiceUnknown, Serving};
    let folder = tempfile::tempdir().unwrap();
    let warder = Running::serve(folder.path(), "");
    let channel = channel(&warder).await;
    let (mut whole, mut sys) = (watch(&channel, "").await, watch(&channel, "warder.v1.SysService").await);
    let mut nothing = watch(&channel, "nothing").await;
    assert_eq!((next(&mut whole).await, next(&mut sys).await), (Ok(NotServing), Ok(Serving)));
    assert_eq!((check(&channel, "").await, check(&channel, "nothing").await), (Ok(NotServing), Err(Code::NotFound)));

    let mut keys = SysServiceClient::new(channel.clone());
    let made = keys.init(v1::SysServiceInitRequest { shares: 3, threshold: 2 }).await.unwrap().into_inner();
    assert_eq!((made.keys.len(), made.keys_base64.len()), (3, 3));
    assert_eq!(next(&mut whole).await, Ok(Serving));
    assert_eq!(check(&channel, "warder.v1.SecretsService").await, Ok(Serving));

    let mut seal = Request::new(v1::SysServiceSealRequest {});
    seal.metadata_mut().insert("authorization", format!("Bearer {}", made.root_token).parse().unwrap());
    keys.seal(seal).await.unwrap();
    // Sealing ends all connections, and says so on those that are watched.
    assert_eq!((next(&mut whole).await, next(&mut whole).await), (Ok(NotServing), Err(Code::Unavailable)));
    assert_eq!((next(&mut nothing).await, next(&mut nothing).await), (Ok(ServiceUnknown), Err(Code::Unavailable)));
    assert_eq!(next(&mut sys).await, Err(Code::Unavailable));

    let channel = self::channel(&warder).await;
    let mut whole = watch(&channel, "").await;
    assert_eq!(next(&mut whole).await, Ok(NotServing));
    let statuses = HealthClient::new(channel.clone()).list(HealthListRequest {}).await.unwrap().into_inner().statuses;
    let serving: BTreeMap<&str, bool> =
        statuses.iter().map(|(name, status)| (name.as_str(), status.status() == Serving)).collect();
    assert_eq!((serving[""], serving["warder.v1.TokenService"], serving["warder.v1.SysService"]), (false, false, true));

    let mut keys = SysServiceClient::new(channel.clone());
    let mut progress = Vec::new();
    for key in [&made.keys[2], &made.keys_base64[0]] {
        let given = v1::SysServiceUnsealRequest { key: key.clone(), reset: false };
        let status = keys.unseal(given).await.unwrap().into_inner().status.unwrap();
        progress.push((status.sealed, status.progress));
    }
    assert_eq!(progress, [(true, 1), (false, 0)]);
    assert_eq!(next(&mut whole).await, Ok(Serving));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_watches_instead_of_waiting_for_them() {
    let warder = Running::dev(&["--root-token", "root"]);
    let channel = channel(&warder).await;
    let mut whole = watch(&channel, "").await;
    assert_eq!(next(&mut whole).await, Ok(ServingStatus::Serving));
    let (asking, questions) = tokio::sync::mpsc::channel::<ServerReflectionRequest>(1);
    let questions = futures_util::stream::unfold(questions, |mut all| async { Some((all.recv().await?, all)) });
    let mut asked = ServerReflectionClient::new(channel.clone());
    let mut answers = asked.server_reflection_info(questions).await.unwrap().into_inner();
    let ended = tokio::task::spawn_blocking(move || warder.stop());
    assert_eq!(next(&mut whole).await, Ok(ServingStatus::NotServing));
    assert_eq!(next(&mut whole).await, Err(Code::Unavailable));
    assert_eq!(answers.message().await.unwrap_err().code(), Code::Unavailable);
    ended.await.unwrap();
    drop(asking);
}

/// What each question is answered with, on one stream, each asked when the one before was answered.
async fn reflected(channel: &Channel, path: &'static str, asked: Vec<MessageRequest>) -> Vec<MessageResponse> {
    let (asking, questions) = tokio::sync::mpsc::channel(1);
    let questions = futures_util::stream::unfold(questions, |mut all| async { Some((all.recv().await?, all)) });
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let codec = warder_proto::codec::Codec::default();
    let path = http::uri::PathAndQuery::from_static(path);
    let mut answers: Streaming<warder_proto::reflection::ServerReflectionResponse> =
        grpc.streaming(Request::new(questions), path, codec).await.unwrap().into_inner();
    let mut told = Vec::new();
    for message_request in asked {
        let question = ServerReflectionRequest { host: String::new(), message_request: Some(message_request) };
        asking.send(question).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, answers.message()).await.expect("an answer").unwrap().unwrap();
        told.push(answer.message_response.unwrap());
    }
    drop(asking);
    assert!(answers.message().await.unwrap().is_none());
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_tells_every_service_by_both_of_its_names() {
    let warder = Running::dev(&["--root-token", "root"]);
    let channel = channel(&warder).await;
    for path in [
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        let told = reflected(
            &channel,
            path,
            vec![
                MessageRequest::ListServices(String::new()),
                MessageRequest::FileContainingSymbol("warder.v1.SecretsService".to_owned()),
                MessageRequest::FileContainingSymbol("warder.v1.Nothing".to_owned()),
            ],
        )
        .await;
        let [
            MessageResponse::ListServicesResponse(list),
            MessageResponse::FileDescriptorResponse(files),
            MessageResponse::ErrorResponse(error),
        ] = &told[..]
        else {
            panic!("{told:?}")
        };
        let services: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
        assert!(services.contains(&"warder.v1.SecretsService") && services.contains(&"grpc.health.v1.Health"));
        let file: FileDescriptorProto = prost::Message::decode(&*files.file_descriptor_proto[0]).unwrap();
        let methods: Vec<&str> = file.service[0].method.iter().map(|method| method.name()).collect();
        assert!(methods.contains(&"BatchGet"), "{methods:?}");
        assert_eq!(error.error_code, i32::from(Code::NotFound));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_and_messages_over_their_bounds_are_refused() {
    let warder = Running::dev(&["--root-token", "root"]);
    let channel = channel(&warder).await;
    let large = "x".repeat(9 * 1024);
    let question =
        ServerReflectionRequest { host: String::new(), message_request: Some(MessageRequest::FileByFilename(large)) };
    let question = futures_util::stream::iter([question]);
    let mut reflection = ServerReflectionClient::new(channel.clone());
    let answered = reflection.server_reflection_info(question).await.unwrap().into_inner().message().await;
    assert_eq!(answered.unwrap_err().code(), Code::OutOfRange);
    let asked = HealthCheckRequest { service: "x".repeat(64 * 1024) };
    let status = HealthClient::new(channel.clone()).check(asked).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "the message is larger than 65536 bytes"));
}

/// The bounds that a connection announces: RFC 9113, section 6.5.2.
#[test]
fn a_connection_announces_its_bounds() {
    let warder = Running::dev(&["--root-token", "root"]);
    let mut stream = TcpStream::connect(warder.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!((head[3], head[4]), (4, 0), "the first frame is SETTINGS");
    let mut settings = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    stream.read_exact(&mut settings).unwrap();
    let settings: BTreeMap<u16, u32> = settings
        .chunks(6)
        .map(|s| (u16::from_be_bytes([s[0], s[1]]), u32::from_be_bytes([s[2], s[3], s[4], s[5]])))
        .collect();
    let named = |id: u16| settings.get(&id).copied();
    // Streams at once; bytes under way of a stream; of a frame; of all headers.
    assert_eq!((named(3), named(4), named(5), named(6)), (Some(256), Some(1 << 20), Some(16 << 10), Some(64 << 10)));
}
