//! Syslog from devices that know nothing of batches.

use std::net::SocketAddr;

use model::{SourceId, ecs};
use testkit::poll_until;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};

use crate::sandbox::{Collector, PATIENCE, Sandbox};

/// An address that was free a moment ago.
async fn free_addr() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

async fn listening(sandbox: &Sandbox) -> (Collector, SocketAddr, SocketAddr) {
    let (udp, tcp) = (free_addr().await, free_addr().await);
    let collector = sandbox
        .collector_with("collector-1", |config| {
            config.syslog.udp_addr = udp.to_string();
            config.syslog.tcp_addr = tcp.to_string();
        })
        .await;
    (collector, udp, tcp)
}

async fn stored(sandbox: &Sandbox, count: usize) -> Vec<String> {
    let source = SourceId::named("syslog", "127.0.0.1");
    poll_until(PATIENCE, "the messages are stored", async || {
        let mut messages: Vec<String> = Vec::new();
        for event in sandbox.events(source).await {
            messages.push(event.fields.str(ecs::EVENT_ORIGINAL)?.to_owned());
        }
        (messages.len() >= count).then_some(messages)
    })
    .await
}

#[tokio::test]
async fn datagrams_become_events_of_their_sender() {
    let sandbox = Sandbox::new().await;
    let (collector, udp, _) = listening(&sandbox).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for n in 0..20 {
        let message = format!("<34>Oct 11 22:14:15 fw-1 kernel: packet {n}\n");
        socket.send_to(message.as_bytes(), udp).await.unwrap();
    }
    socket.send_to(&[], udp).await.unwrap();
    socket.send_to(&[0xff, 0, 0xfe], udp).await.unwrap();
    let messages = stored(&sandbox, 21).await;
    assert_eq!(messages.len(), 21);
    assert_eq!(messages[3], "<34>Oct 11 22:14:15 fw-1 kernel: packet 3");
    let events = sandbox.events(SourceId::named("syslog", "127.0.0.1")).await;
    assert_eq!(events[3].fields.str(ecs::PICKET_SOURCE), Some("syslog"));
    assert_eq!(events[20].fields.str(ecs::HOST_NAME), Some("127.0.0.1"));
    collector.stop().await;
}

#[tokio::test]
async fn both_framings_over_tcp_and_what_is_under_way_when_it_stops() {
    let sandbox = Sandbox::new().await;
    let (collector, _, tcp) = listening(&sandbox).await;
    let mut connection = TcpStream::connect(tcp).await.unwrap();
    let counted = "<165>1 2003-10-11T22:14:15.003Z fw-1 app 12 ID47 - counted\nmessage";
    let stream = format!(
        "<34>Oct 11 22:14:15 fw-1 su: one\n{} {counted}<34>Oct 11 22:14:16 fw-1 su: two\n",
        counted.len()
    );
    connection.write_all(stream.as_bytes()).await.unwrap();
    let messages = stored(&sandbox, 3).await;
    assert_eq!(messages[1], counted);
    for n in 0..3000 {
        connection
            .write_all(format!("<34>Oct 11 22:14:15 fw-1 su: {n}\n").as_bytes())
            .await
            .unwrap();
    }
    assert_eq!(stored(&sandbox, 3003).await.len(), 3003);
    collector.stop().await;
}

#[tokio::test]
async fn what_there_is_no_room_for_is_told_by_an_event_with_the_count() {
    let sandbox = Sandbox::new().await;
    let udp = free_addr().await;
    let collector = sandbox
        .collector_with("collector-1", |config| {
            config.syslog.udp_addr = udp.to_string();
            config.syslog.memory_bytes = 1 << 20;
        })
        .await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let message = format!("<34>Oct 11 22:14:15 fw-1 kernel: {}\n", "x".repeat(2000));
    let own = SourceId::named("syslog", "");
    let event = poll_until(PATIENCE, "the loss is told", async || {
        for _ in 0..1000 {
            socket.send_to(message.as_bytes(), udp).await.unwrap();
        }
        let events = sandbox.events(own).await;
        let full = |event: &model::Event| event.fields.str("event.reason") == Some("syslog_buffer_full");
        events.into_iter().find(full)
    })
    .await;
    assert_eq!(event.fields.str(ecs::EVENT_KIND), Some("pipeline_error"));
    assert_eq!(event.fields.str(ecs::PICKET_SOURCE), Some("collector"));
    assert!(
        matches!(event.fields.get("lost.events"), Some(model::Value::Int(lost)) if *lost > 0),
        "{event:?}"
    );
    collector.stop().await;
}
