#include "webhook/json_parts.h"

#include "common/json/json.h"

namespace tessera::webhook {
namespace {

void Member(json::Writer& writer, std::string_view key, std::string_view value) {
  writer.Key(key);
  writer.String(value);
}

/// {"apiVersion":"v1","fieldPath":"metadata.annotations['key']"}
void FieldRef(json::Writer& writer, std::string_view key) {
  writer.Key("fieldRef");
  writer.StartObject();
  Member(writer, "apiVersion", "v1");
  Member(writer, "fieldPath", "metadata.annotations['" + std::string(key) + "']");
  writer.EndObject();
}

/// {"name":NAME,KIND:{…}}; `fill` writes the members of the inner object.
template <typename Fill>
std::string Volume(std::string_view name, std::string_view kind, Fill fill) {
  json::Writer writer;
  writer.StartObject();
  Member(writer, "name", name);
  writer.Key(kind);
  writer.StartObject();
  fill(writer);
  writer.EndObject();
  writer.EndObject();
  return writer.Take();
}

}  // namespace

std::string EnvLiteral(std::string_view name, std::string_view value) {
  json::Writer writer;
  writer.StartObject();
  Member(writer, "name", name);
  Member(writer, "value", value);
  writer.EndObject();
  return writer.Take();
}

std::string EnvFromAnnotation(std::string_view name, std::string_view key) {
  json::Writer writer;
  writer.StartObject();
  Member(writer, "name", name);
  writer.Key("valueFrom");
  writer.StartObject();
  FieldRef(writer, key);
  writer.EndObject();
  writer.EndObject();
  return writer.Take();
}

std::string Mount(std::string_view volume, std::string_view path, bool read_only) {
  json::Writer writer;
  writer.StartObject();
  Member(writer, "name", volume);
  Member(writer, "mountPath", path);
  if (read_only) {
    writer.Key("readOnly");
    writer.Bool(true);
  }
  writer.EndObject();
  return writer.Take();
}

std::string MountPart(std::string_view volume, std::string_view path, std::string_view part) {
  json::Writer writer;
  writer.StartObject();
  Member(writer, "name", volume);
  Member(writer, "mountPath", path);
  Member(writer, "subPathExpr", part);
  writer.EndObject();
  return writer.Take();
}

std::string MemoryVolume(std::string_view name, std::string_view size_limit) {
  return Volume(name, "emptyDir", [&](json::Writer& writer) {
    Member(writer, "medium", "Memory");
    Member(writer, "sizeLimit", size_limit);
  });
}

std::string DiskVolume(std::string_view name, std::string_view size_limit) {
  return Volume(name, "emptyDir",
                [&](json::Writer& writer) { Member(writer, "sizeLimit", size_limit); });
}

std::string AnnotationFileVolume(std::string_view name, std::string_view file,
                                 std::string_view key) {
  return Volume(name, "downwardAPI", [&](json::Writer& writer) {
    writer.Key("items");
    writer.StartArray();
    writer.StartObject();
    Member(writer, "path", file);
    FieldRef(writer, key);
    writer.EndObject();
    writer.EndArray();
    writer.Key("defaultMode");
    writer.Int(0644);
  });
}

std::string ImageVolume(std::string_view name, std::string_view reference) {
  return Volume(name, "image", [&](json::Writer& writer) {
    Member(writer, "reference", reference);
    Member(writer, "pullPolicy", "IfNotPresent");
  });
}

std::string HostPathVolume(std::string_view name, std::string_view path) {
  return Volume(name, "hostPath", [&](json::Writer& writer) {
    Member(writer, "path", path);
    Member(writer, "type", "Directory");
  });
}

}  // namespace tessera::webhook
