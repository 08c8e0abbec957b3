//! The tables, as `migrations/sqlite` makes them.
#![allow(missing_docs)]

diesel::table! {
    items (id) {
        id -> BigInt,
        #[sql_name = "type"]
        type_ -> Nullable<Text>,
        by -> Nullable<Text>,
        time -> Nullable<BigInt>,
        title -> Nullable<Text>,
        url -> Nullable<Text>,
        text -> Nullable<Text>,
        score -> Nullable<BigInt>,
        descendants -> Nullable<BigInt>,
        parent -> Nullable<BigInt>,
        poll -> Nullable<BigInt>,
        kids -> Nullable<Text>,
        parts -> Nullable<Text>,
        deleted -> Nullable<Integer>,
        dead -> Nullable<Integer>,
        extra -> Nullable<Text>,
        fetched_at -> BigInt,
    }
}

diesel::table! {
    users (id) {
        id -> Text,
        created -> Nullable<BigInt>,
        karma -> Nullable<BigInt>,
        about -> Nullable<Text>,
        submitted -> Nullable<Text>,
        extra -> Nullable<Text>,
        fetched_at -> BigInt,
    }
}

diesel::table! {
    absent (id) {
        id -> BigInt,
        checks -> BigInt,
        first_checked_at -> BigInt,
        last_checked_at -> BigInt,
    }
}

diesel::table! {
    failures (id) {
        id -> BigInt,
        kind -> Text,
        message -> Text,
        attempts -> BigInt,
        failed_at -> BigInt,
    }
}

diesel::table! {
    lists (list, rank) {
        list -> Text,
        rank -> BigInt,
        id -> BigInt,
        fetched_at -> BigInt,
    }
}

diesel::table! {
    coverage (lo) {
        lo -> BigInt,
        hi -> BigInt,
    }
}

diesel::table! {
    leases (lo) {
        lo -> BigInt,
        hi -> BigInt,
        owner -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    cool_down (id) {
        id -> BigInt,
        until_ms -> BigInt,
    }
}

diesel::table! {
    runs (id) {
        id -> BigInt,
        command -> Text,
        host -> Text,
        pid -> BigInt,
        machine -> Text,
        rate -> BigInt,
        started_at -> BigInt,
        heartbeat_at -> BigInt,
        ids_per_second -> BigInt,
        finished_at -> Nullable<BigInt>,
        last_id -> Nullable<BigInt>,
        requested -> BigInt,
        stored -> BigInt,
        absent -> BigInt,
        failed -> BigInt,
        not_attempted -> BigInt,
        attempts -> BigInt,
        bytes -> BigInt,
    }
}

diesel::table! {
    // The table has no key. Diesel needs one, and no query uses it.
    item_history (id, changed_at) {
        id -> BigInt,
        changed_at -> BigInt,
        title -> Nullable<Text>,
        url -> Nullable<Text>,
        text -> Nullable<Text>,
        score -> Nullable<BigInt>,
        descendants -> Nullable<BigInt>,
        #[sql_name = "type"]
        type_ -> Nullable<Text>,
        deleted -> Nullable<Integer>,
        dead -> Nullable<Integer>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(absent, failures, items, lists);
