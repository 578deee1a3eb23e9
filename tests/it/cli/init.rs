//! `tier init`, which writes a first pricing.json.

use super::Place;

#[tokio::test]
async fn each_template_can_be_pushed() {
    for template in ["starter", "seats", "usage", "ai"] {
        let place = Place::start().await;
        let printed = place.tier(&["init", template]).ok().await;
        assert_eq!(printed, "");
        assert!(place.read("pricing.json").starts_with("// "), "{template}");
        let pushed = place.tier(&["push", "pricing.json"]).ok().await;
        assert!(pushed.lines().count() > 1, "{pushed}");
        assert!(
            pushed.lines().all(|line| line.ends_with("[created]")),
            "{pushed}"
        );
    }
}

#[tokio::test]
async fn an_existing_file_stays() {
    let place = Place::offline();
    place.write("pricing.json", "mine");
    let refused = place.tier(&["init"]).fault().await;
    assert!(refused.contains("pricing.json exists already"), "{refused}");
    assert_eq!(place.read("pricing.json"), "mine");
    place.tier(&["init", "-o", "other.json"]).ok().await;
    place.tier(&["validate", "other.json"]).ok().await;
    let refused = place
        .tier(&["init", "-o", "no/such/folder.json"])
        .fault()
        .await;
    assert!(
        refused.contains("cannot write no/such/folder.json"),
        "{refused}"
    );
    let refused = place.tier(&["init", "shop"]).misused().await;
    assert!(refused.contains("starter"), "{refused}");
}
