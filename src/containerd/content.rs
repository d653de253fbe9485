//! Content service: blobs by digest.

mod read;
mod upload;

use super::api::content::{
    AbortRequest, DeleteContentRequest, Info, InfoRequest, InfoResponse, InfoUpdate, ListContentRequest,
    ListContentResponse, ListStatusesRequest, ListStatusesResponse, Status, StatusRequest, StatusResponse,
    UpdateRequest,
};
use super::api::{Empty, FieldMask, Map};
use super::{CallResult, Client};
use crate::digest::Digest;
use crate::gather::{Gather, Grow};
use crate::rpc::grpc::Method;

pub use read::ContentReader;
pub use upload::{Committed, Ingest, MAX_WRITE, Opened, Upload};

macro_rules! content_path {
    ($name:literal) => {
        concat!("/containerd.services.content.v1.Content/", $name)
    };
}
use content_path;

/// See [`Client::content`].
#[derive(Debug)]
pub struct Content<'c>(&'c mut Client);

impl<'c> Content<'c> {
    pub(super) fn new(client: &'c mut Client) -> Self {
        Content(client)
    }

    /// Size and labels of a blob; [`super::Code::NotFound`] if it is not there.
    pub fn info(&mut self, digest: &Digest) -> CallResult<Info> {
        let request = InfoRequest { digest: digest.to_string() };
        let answer: InfoResponse = self.0.unary(Method::unary(content_path!("Info")), &request)?;
        Ok(answer.info.unwrap_or_default())
    }

    /// Sets these labels and leaves all others as they are; a label with an empty value is removed.
    pub fn set_labels(&mut self, digest: &Digest, labels: &Map) -> CallResult<Info> {
        let paths = labels.keys().map(|key| format!("labels.{key}")).gather();
        let labels = labels.iter().filter(|(_, value)| !value.is_empty());
        let labels = labels.map(|(key, value)| (key.clone(), value.clone())).gather();
        let info = InfoUpdate { digest: digest.to_string(), labels };
        let request = UpdateRequest { info, update_mask: FieldMask { paths } };
        let answer: InfoResponse = self.0.unary(Method::unary(content_path!("Update")), &request)?;
        Ok(answer.info.unwrap_or_default())
    }

    /// Blobs that match a filter such as `labels."a/b"==c`, or all.
    pub fn list(&mut self, filters: &[String]) -> CallResult<Vec<Info>> {
        let request = ListContentRequest { filters: filters.to_vec() };
        let mut all = Vec::new();
        self.0.stream(Method::unary(content_path!("List")), &request, |some: ListContentResponse| {
            all.add_all(some.info)
        })?;
        Ok(all)
    }

    /// Removes a blob.
    pub fn delete(&mut self, digest: &Digest) -> CallResult<()> {
        let request = DeleteContentRequest { digest: digest.to_string() };
        self.0.unary(Method::unary(content_path!("Delete")), &request).map(|Empty {}| ())
    }

    /// An unfinished write; [`super::Code::NotFound`] if there is none of that reference.
    pub fn status(&mut self, reference: &str) -> CallResult<Status> {
        let request = StatusRequest { reference: reference.to_owned() };
        let answer: StatusResponse = self.0.unary(Method::unary(content_path!("Status")), &request)?;
        Ok(answer.status.unwrap_or_default())
    }

    /// Unfinished writes that match a filter such as `ref~=^edgelay-`, or all.
    pub fn list_statuses(&mut self, filters: &[String]) -> CallResult<Vec<Status>> {
        let request = ListStatusesRequest { filters: filters.to_vec() };
        let answer: ListStatusesResponse = self.0.unary(Method::unary(content_path!("ListStatuses")), &request)?;
        Ok(answer.statuses)
    }

    /// Forgets an unfinished write and its bytes.
    pub fn abort(&mut self, reference: &str) -> CallResult<()> {
        let request = AbortRequest { reference: reference.to_owned() };
        self.0.unary(Method::unary(content_path!("Abort")), &request).map(|Empty {}| ())
    }

    /// Opens a write. Nothing is sent of a blob that is already there.
    pub fn write(self, ingest: Ingest) -> CallResult<Opened<'c>> {
        upload::open(self.0, ingest)
    }

    /// Reads a blob from `offset` to its end.
    pub fn read(self, digest: &Digest, offset: u64) -> CallResult<ContentReader<'c>> {
        ContentReader::open(self.0, digest, offset)
    }
}
