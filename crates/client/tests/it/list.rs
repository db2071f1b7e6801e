//! Lists, page by page.

use futures_util::TryStreamExt;
use keyfob_client::{Error, Order, types::Page};

use crate::server::{Reply, Server};

type Numbers = Page<u32>;

/// A list of three pages, of which the filter finds nothing in the second.
async fn paged() -> Server {
    Server::scripted(|_, seen| {
        let cursor =
            seen.target.split("cursor=").nth(1).map(|rest| rest.split('&').next().unwrap());
        Reply::json(match cursor {
            None => r#"{"items":[1,2],"cursor":"a/1"}"#,
            Some("a%2F1") => r#"{"items":[],"cursor":"b"}"#,
            Some("b") => r#"{"items":[3],"cursor":"c"}"#,
            _ => r#"{"items":[],"cursor":""}"#,
        })
    })
    .await
}

#[tokio::test]
async fn awaited_it_is_one_page() {
    let server = paged().await;
    let page: Numbers = server.client().fetch("/list").await.unwrap();
    assert_eq!((page.items, page.cursor.as_str()), (vec![1, 2], "a/1"));
    assert_eq!(server.only().target, "/list");
}

#[tokio::test]
async fn items_go_on_from_page_to_page_until_there_is_neither_item_nor_cursor() {
    let server = paged().await;
    let items = server.client().fetch::<Numbers>("/list").take(2).items();
    assert_eq!(items.try_collect::<Vec<_>>().await.unwrap(), [1, 2, 3]);
    let targets: Vec<_> = server.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(
        targets,
        [
            "/list?take=2",
            "/list?take=2&cursor=a%2F1",
            "/list?take=2&cursor=b",
            "/list?take=2&cursor=c"
        ]
    );
}

#[tokio::test]
async fn nothing_is_asked_for_before_somebody_waits_for_it() {
    let server = paged().await;
    let mut pages = server.client().fetch::<Numbers>("/list").pages();
    assert_eq!(server.seen().len(), 0);
    assert_eq!(pages.try_next().await.unwrap().unwrap().items, [1, 2]);
    assert_eq!(server.seen().len(), 1);
    let two = server.client().fetch::<Numbers>("/list").items().try_take(2).await.unwrap();
    assert_eq!((two, server.seen().len()), (vec![1, 2], 2));
}

#[tokio::test]
async fn it_begins_where_it_is_told_and_is_filtered_on_every_page() {
    let server = paged().await;
    let list = server.client().fetch::<Numbers>("/list").order(Order::Asc).meta("team", "x y&z");
    let items = list.cursor("b").items().try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(items, [3]);
    let targets: Vec<_> = server.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets[0], "/list?order=asc&meta.team=x+y%26z&cursor=b");
    assert_eq!(targets[1], "/list?order=asc&meta.team=x+y%26z&cursor=c");
}

#[tokio::test]
async fn a_failure_ends_it_after_what_came() {
    let server = Server::says(vec![
        Reply::json(r#"{"items":[1],"cursor":"a"}"#),
        Reply::answer(
            404,
            "content-type: application/json\r\n",
            r#"{"code":"NOT_FOUND","message":"Gone"}"#,
        ),
    ]);
    let server = server.await;
    let mut items = server.client().fetch::<Numbers>("/list").items();
    assert_eq!(items.try_next().await.unwrap(), Some(1));
    assert_eq!(items.try_next().await.unwrap_err().code(), Some("NOT_FOUND"));
    assert!(items.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_that_leads_in_a_circle_is_not_followed() {
    let server = Server::always(Reply::json(r#"{"items":[1],"cursor":"a"}"#)).await;
    let items = server.client().fetch::<Numbers>("/list").items();
    let error = items.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(matches!(error, Error::BrokenOff { .. }), "{error}");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn nor_is_one_that_leads_in_a_wider_circle() {
    let server = Server::scripted(|number, _| {
        Reply::json(&format!(r#"{{"items":[1],"cursor":"{}"}}"#, ["a", "b"][number % 2]))
    });
    let server = server.await;
    let error = server.client().fetch::<Numbers>("/list").items().try_take(100).await.unwrap_err();
    assert!(matches!(error, Error::BrokenOff { .. }), "{error}");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn what_is_said_of_a_page_goes_in_the_place_of_what_the_path_says() {
    let server = paged().await;
    let list = server.client().fetch::<Numbers>("/list?take=9&x=%20&cursor=b").take(1);
    assert_eq!(list.items().try_collect::<Vec<_>>().await.unwrap(), [3]);
    let targets: Vec<_> = server.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/list?x=%20&cursor=b&take=1", "/list?x=%20&take=1&cursor=c"]);
}

#[tokio::test]
async fn a_mistake_is_told_by_whatever_is_made_of_it() {
    let server = paged().await;
    let wrong = || server.client().fetch::<Numbers>("no path");
    assert!(matches!(wrong().await, Err(Error::Invalid(_))));
    for mut items in [wrong().items(), wrong().stream(), wrong().lines()] {
        assert!(matches!(items.try_next().await, Err(Error::Invalid(_))));
    }
    assert!(matches!(wrong().pages().try_next().await, Err(Error::Invalid(_))));
    assert_eq!(server.seen().len(), 0);
}
