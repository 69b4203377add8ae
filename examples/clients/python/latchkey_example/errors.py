"""The details of failed calls: `google.rpc.ErrorInfo`, `BadRequest` and `RetryInfo`."""

import grpc
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "latchkey.dev"
DETAILS = "grpc-status-details-bin"


def reason_of(error):
    """The name of a `Reason` in errors.proto, or None for an error that no server of Latchkey has sent."""
    infos = _details(error, error_details_pb2.ErrorInfo)
    return next((info.reason for info in infos if info.domain == DOMAIN), None)


def violations_of(error):
    """The invalid fields with their problems."""
    return {
        violation.field: violation.description
        for bad_request in _details(error, error_details_pb2.BadRequest)
        for violation in bad_request.field_violations
    }


def retry_after_of(error):
    """Seconds after which the same call can succeed, or None."""
    delays = [info.retry_delay for info in _details(error, error_details_pb2.RetryInfo)]
    return delays[0].seconds + delays[0].nanos / 1e9 if delays else None


def summary_of(error):
    if not isinstance(error, grpc.RpcError):
        return str(error) or type(error).__name__
    return f"{reason_of(error) or error.code().name}: {error.details()}"


def _details(error, kind):
    """Works with errors of grpc and of grpc.aio."""
    if not isinstance(error, grpc.RpcError):
        return []
    status = next((value for name, value in error.trailing_metadata() or () if name == DETAILS), b"")
    details = status_pb2.Status.FromString(status).details
    unpacked = [(kind(), detail) for detail in details]
    return [message for message, detail in unpacked if detail.Unpack(message)]
