#pragma once

#include <string>
#include <string_view>

/// JSON texts of the pieces that admission adds to a pod. Kubernetes' defaults are written out, so
/// that a piece that went through the API server compares equal to a new one.
namespace tessera::webhook {

std::string EnvLiteral(std::string_view name, std::string_view value);
/// A variable that the kubelet fills from the pod's annotation `key` at container start.
std::string EnvFromAnnotation(std::string_view name, std::string_view key);

std::string Mount(std::string_view volume, std::string_view path, bool read_only);
/// A part of the volume, which the kubelet chooses at container start: $(NAME) in `part` is a
/// variable of the container.
std::string MountPart(std::string_view volume, std::string_view path, std::string_view part);

std::string MemoryVolume(std::string_view name, std::string_view size_limit);
std::string DiskVolume(std::string_view name, std::string_view size_limit);
/// One file that follows the pod's annotation `key`.
std::string AnnotationFileVolume(std::string_view name, std::string_view file,
                                 std::string_view key);
std::string ImageVolume(std::string_view name, std::string_view reference);
std::string HostPathVolume(std::string_view name, std::string_view path);

}  // namespace tessera::webhook
