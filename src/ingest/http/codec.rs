//! What can come next on a connection, and how to read it: awc's codecs for heads and for bodies, one after the other.

use std::mem;

use actix_codec::{Decoder, Encoder};
use actix_http::{
    RequestHeadType, ResponseHead, StatusCode, Version,
    body::BodySize,
    h1::{ClientCodec, ClientPayloadCodec, Message, MessageType},
    header,
};
use bytes::{Bytes, BytesMut};

use super::connection::Broken;

/// What comes next, and how to read it.
pub(crate) enum Codec {
    Head(ClientCodec),
    Body(ClientPayloadCodec),
    /// A body that ends with its connection.
    UntilClosed {
        is_empty: bool,
    },
    /// Nothing that could be understood.
    Nothing,
}

/// A part of an answer.
pub(crate) enum Part {
    Head(ResponseHead),
    Body(Bytes),
    End,
}

pub(crate) type Request = Message<(RequestHeadType, BodySize)>;

impl Codec {
    /// As RFC 9112, 6.3 has it.
    pub(crate) fn expect_body_of(&mut self, head: &ResponseHead) {
        let Self::Head(codec) = mem::replace(self, Self::Nothing) else {
            return;
        };
        let length = head.headers.get(header::CONTENT_LENGTH);
        let is_chunked = head.headers.contains_key(header::TRANSFER_ENCODING)
            && head.version >= Version::HTTP_11;
        *self = match codec.message_type() {
            MessageType::Stream => Self::Nothing,
            MessageType::None if has_no_body(head.status) => Self::Head(codec),
            // What is announced does not come, and the codec waits for it.
            MessageType::Payload if has_no_body(head.status) => Self::Nothing,
            MessageType::None if length.is_some() => Self::Head(codec),
            MessageType::Payload if is_chunked || length.is_some_and(|length| length != "0") => {
                Self::Body(codec.into_payload_codec())
            }
            MessageType::Payload if length.is_some() => Self::Nothing,
            MessageType::None | MessageType::Payload => Self::UntilClosed { is_empty: true },
        };
    }

    fn expect_head(&mut self) {
        if let Self::Body(codec) = mem::replace(self, Self::Nothing) {
            *self = Self::Head(codec.into_message_codec());
        }
    }

    pub(crate) fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Part>, Broken> {
        match self {
            // It takes the codec a while to see that there is nothing.
            Self::Head(_) | Self::UntilClosed { .. } if source.is_empty() => Ok(None),
            Self::Head(codec) => Ok(codec.decode(source)?.map(Part::Head)),
            Self::Body(codec) => match codec.decode(source)? {
                Some(Some(part)) => Ok(Some(Part::Body(part))),
                Some(None) => {
                    self.expect_head();
                    Ok(Some(Part::End))
                }
                None => Ok(None),
            },
            Self::UntilClosed { is_empty } => {
                *is_empty = false;
                Ok(Some(Part::Body(source.split().freeze())))
            }
            Self::Nothing => Ok(None),
        }
    }

    pub(crate) fn encode(&mut self, request: Request, target: &mut BytesMut) -> Result<(), Broken> {
        match self {
            Self::Head(codec) => Ok(codec.encode(request, target)?),
            Self::Body(_) | Self::UntilClosed { .. } | Self::Nothing => Err(Broken::NoAnswer),
        }
    }
}

fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
