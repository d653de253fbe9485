//! Images service: names for manifests.

use super::api::images::{
    CreateImageRequest, DeleteImageRequest, GetImageRequest, Image, ImageRecord, ImageResponse, ListImagesRequest,
    ListImagesResponse, UpdateImageRequest,
};
use super::api::{Empty, FieldMask};
use super::client::SLOW;
use super::{CallResult, Client};
use crate::rpc::grpc::Method;

macro_rules! method {
    ($name:literal) => {
        Method::unary(concat!("/containerd.services.images.v1.Images/", $name))
    };
}

/// A node's images with all their labels; the daemon itself sends at most this much.
const LIST_LIMIT: usize = 16 * 1024 * 1024;

/// See [`Client::images`].
#[derive(Debug)]
pub struct Images<'c>(&'c mut Client);

impl<'c> Images<'c> {
    pub(super) fn new(client: &'c mut Client) -> Self {
        Images(client)
    }

    /// The record of exactly this name; [`super::Code::NotFound`] if there is none.
    pub fn get(&mut self, name: &str) -> CallResult<Image> {
        let answer: ImageResponse = self.0.unary(method!("Get"), &GetImageRequest { name: name.to_owned() })?;
        Ok(answer.image.unwrap_or_default())
    }

    /// Records that match a filter such as `name==x`, or all.
    pub fn list(&mut self, filters: &[String]) -> CallResult<Vec<Image>> {
        let method = Method { limit: LIST_LIMIT, ..method!("List") };
        let answer: ListImagesResponse = self.0.unary(method, &ListImagesRequest { filters: filters.to_vec() })?;
        Ok(answer.images)
    }

    /// A new record; [`super::Code::AlreadyExists`] if the name is taken. CRI looks at the content at once, so all of
    /// it must be there.
    pub fn create(&mut self, image: ImageRecord) -> CallResult<Image> {
        let answer: ImageResponse = self.0.unary(method!("Create"), &CreateImageRequest { image })?;
        Ok(answer.image.unwrap_or_default())
    }

    /// Changes what `paths` name: `target`, `labels.<key>`. Without paths the whole record is replaced.
    pub fn update(&mut self, image: ImageRecord, paths: Vec<String>) -> CallResult<Image> {
        let request = UpdateImageRequest { image, update_mask: FieldMask { paths } };
        let answer: ImageResponse = self.0.unary(method!("Update"), &request)?;
        Ok(answer.image.unwrap_or_default())
    }

    /// Removes a record and waits until what nobody else needs is gone.
    pub fn delete_sync(&mut self, name: &str) -> CallResult<()> {
        let request = DeleteImageRequest { name: name.to_owned(), sync: true };
        self.0.unary(method!("Delete").within(SLOW), &request).map(|Empty {}| ())
    }
}
