//! The embedded table and flow hash against what a real VPP did.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::net::IpAddr;

use maglev::lb::flow::{Flow, bucket};
use maglev::lb::maglev::Table;
use maglev::lb::{Protocol, VipKey};
use serde_json::Value;

fn load(text: &str) -> Vec<Value> {
    serde_json::from_str::<Value>(text).unwrap()["cases"].as_array().unwrap().clone()
}

fn address(v: &Value) -> IpAddr {
    v.as_str().unwrap().parse().unwrap()
}

fn number<T: TryFrom<u64>>(v: &Value) -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(v.as_u64().unwrap()).unwrap()
}

fn servers(case: &Value) -> Vec<(IpAddr, u8)> {
    let all = case["servers"].as_array().unwrap();
    all.iter().map(|s| (address(&s["address"]), number(&s["weight"]))).collect()
}

#[test]
fn bucket_counts_are_those_of_vpp_in_80_tables() {
    let cases = load(include_str!("lb-buckets.json"));
    let mut checked = 0;
    for (i, case) in cases.iter().enumerate() {
        let table = Table::build(number(&case["length"]), &servers(case)).unwrap();
        for server in case["servers"].as_array().unwrap() {
            let buckets: u32 = number(&server["buckets"]);
            assert_eq!(table.buckets(address(&server["address"])), buckets, "case {i}: {server}");
        }
        checked += 1;
    }
    assert_eq!(checked, 80);
}

#[test]
fn every_one_of_2100_flows_goes_where_vpp_sent_it() {
    let mut checked = 0;
    for case in load(include_str!("lb-flows.json")) {
        let table = Table::build(number(&case["length"]), &servers(&case)).unwrap();
        let vip =
            VipKey { address: address(&case["vip"]), service: Some((Protocol::Tcp, number(&case["port"]))) };
        let sticky = case["src_ip_sticky"].as_bool().unwrap();
        for flow in case["flows"].as_array().unwrap() {
            let (source, port) = (address(&flow[0]), number(&flow[1]));
            let hash = Flow::to_vip(&vip, source, port, 0).unwrap().hash(sticky);
            assert_eq!(table.server_for(hash), Some(address(&flow[2])), "{vip}: {flow}");
            let bucket = bucket(&vip, sticky, table.length(), source, port, 0).unwrap();
            assert_eq!(bucket, table.bucket_of(hash));
            checked += 1;
        }
    }
    assert_eq!(checked, 2100);
}
