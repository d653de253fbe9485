//! Leases service.

use super::api::leases::{
    AddResourceRequest, CreateRequest, CreateResponse, DeleteRequest, Lease, ListRequest, ListResourcesRequest,
    ListResourcesResponse, ListResponse, Resource,
};
use super::api::{Empty, Map};
use super::client::SLOW;
use super::{CallResult, Client, LeaseId};
use crate::rpc::grpc::Method;

macro_rules! method {
    ($name:literal) => {
        Method::unary(concat!("/containerd.services.leases.v1.Leases/", $name))
    };
}

/// See [`Client::leases`].
#[derive(Debug)]
pub struct Leases<'c>(&'c mut Client);

impl<'c> Leases<'c> {
    pub(super) fn new(client: &'c mut Client) -> Self {
        Leases(client)
    }

    /// A new lease; [`super::Code::AlreadyExists`] if there is one. The label `containerd.io/gc.expire` (RFC 3339)
    /// lets it end by itself if we cannot end it.
    pub fn create(&mut self, id: &LeaseId, labels: Map) -> CallResult<Lease> {
        let request = CreateRequest { id: id.as_str().to_owned(), labels };
        let answer: CreateResponse = self.0.unary(method!("Create"), &request)?;
        Ok(answer.lease.unwrap_or_default())
    }

    /// Leases that match a filter such as `id==x`, or all.
    pub fn list(&mut self, filters: &[String]) -> CallResult<Vec<Lease>> {
        let answer: ListResponse = self.0.unary(method!("List"), &ListRequest { filters: filters.to_vec() })?;
        Ok(answer.leases)
    }

    /// Ends a lease and waits until what nobody else needs is gone.
    pub fn delete_sync(&mut self, id: &LeaseId) -> CallResult<()> {
        let request = DeleteRequest { id: id.as_str().to_owned(), sync: true };
        self.0.unary(method!("Delete").within(SLOW), &request).map(|Empty {}| ())
    }

    /// Adds what is already there: `kind` is `content` or `snapshots/<snapshotter>`.
    pub fn add_resource(&mut self, id: &LeaseId, resource: Resource) -> CallResult<()> {
        let request = AddResourceRequest { id: id.as_str().to_owned(), resource };
        self.0.unary(method!("AddResource"), &request).map(|Empty {}| ())
    }

    /// What belongs to a lease.
    pub fn resources(&mut self, id: &LeaseId) -> CallResult<Vec<Resource>> {
        let request = ListResourcesRequest { id: id.as_str().to_owned() };
        let answer: ListResourcesResponse = self.0.unary(method!("ListResources"), &request)?;
        Ok(answer.resources)
    }
}
