#![allow(missing_docs)]
use super::types::*;
use std::collections::BTreeMap;
use std::net::IpAddr;
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub vip: VipKey,
    pub encap: Encap,
    pub table_length: u32,
    pub src_ip_sticky: bool,
    pub servers: BTreeMap<IpAddr, WantedServer>,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedServer {
    pub weight: u8,
    pub flush: bool,
    pub flush_once: bool,
    pub keep: bool,
}
pub struct Actual {
    pub encap: Option<Encap>,
    pub table_length: u32,
    pub servers: BTreeMap<IpAddr, u8>,
}
#[derive(Clone, Debug)]
pub struct Ledger;
impl Ledger {
    pub fn new(_s: bool) -> Ledger {
        Ledger
    }
    pub fn applied(&mut self, _op: &Op) {}
    pub fn observed(&mut self, _a: &Actual) {}
}
pub struct Item {
    pub vip: VipKey,
    pub wanted: Option<Wanted>,
    pub actual: Option<Actual>,
    pub ledger: Option<Ledger>,
}
#[derive(Debug)]
pub struct Step {
    pub ops: Vec<Op>,
}
pub struct AddressPlan {
    pub steps: Vec<Step>,
    pub notes: Vec<String>,
}
pub fn plan_address(_items: &[Item], _b: u32) -> AddressPlan {
    AddressPlan { steps: vec![], notes: vec![] }
}
pub fn may_run(_op: &Op, _servers: &BTreeMap<IpAddr, u8>, _add_failed: bool) -> bool {
    true
}
