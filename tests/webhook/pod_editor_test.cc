#include "webhook/pod_editor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::webhook {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr ContainerRef kFirst{.list = ContainerList::kApp, .index = 0};

PodView OneContainer() {
  PodView pod;
  pod.containers.emplace_back().name = "a";
  return pod;
}

TEST(Pointer, EscapesTildeAndSlash) {
  EXPECT_EQ(Pointer({"metadata", "labels", "a/b~c"}), "/metadata/labels/a~1b~0c");
  EXPECT_EQ(EscapeToken("~1"), "~01");
}

TEST(SameJson, ComparesValuesAndNotText) {
  EXPECT_TRUE(SameJson(R"({"a":1,"b":[2]})", R"({ "b":[2], "a":1 })"));
  EXPECT_FALSE(SameJson(R"({"a":1})", R"({"a":1,"b":2})"));
  EXPECT_FALSE(SameJson(R"([1,2])", R"([2,1])"));
  EXPECT_FALSE(SameJson("{", "}"));
}

TEST(CleanPath, TellsWhatAMountPathMeans) {
  const std::pair<const char*, const char*> cases[] = {{"/run/tessera", "/run/tessera"},
                                                       {"/run/tessera/", "/run/tessera"},
                                                       {"//run//tessera", "/run/tessera"},
                                                       {"/run/./tessera", "/run/tessera"},
                                                       {"/run/x/../tessera", "/run/tessera"},
                                                       {"/", "/"},
                                                       {"", ""}};
  for (const auto& [path, want] : cases) EXPECT_EQ(CleanPath(path), want) << path;
}

TEST(PodEditor, MissingParentsAreCreatedFirst) {
  PodEditor editor(OneContainer());
  editor.SetLabel("k/1", "v");
  editor.SetEnv(kFirst, "A", R"({"name":"A"})");
  editor.SetResource(kFirst, PodEditor::Section::kLimits, "x/y", 3);
  EXPECT_THAT(editor.patch(),
              ElementsAre(Operation{"add", "/metadata/labels", "{}"},
                          Operation{"add", "/metadata/labels/k~11", "\"v\""},
                          Operation{"add", "/spec/containers/0/env", "[]"},
                          Operation{"add", "/spec/containers/0/env/-", R"({"name":"A"})"},
                          Operation{"add", "/spec/containers/0/resources", "{}"},
                          Operation{"add", "/spec/containers/0/resources/limits", "{}"},
                          Operation{"add", "/spec/containers/0/resources/limits/x~1y", "\"3\""}));
}

TEST(PodEditor, WhatIsThereAlreadyGivesNoOperation) {
  PodEditor editor(OneContainer());
  const auto ask = [&] {
    editor.SetLabel("k", "v");
    editor.SetAnnotation("a", "b");
    editor.SetSchedulerName("s");
    editor.SetRuntimeClass("r");
    editor.SetVolume("v", R"({"name":"v"})");
    editor.SetEnv(kFirst, "A", R"({"name":"A","value":"1"})");
    editor.SetMount(kFirst, "/m", "v", R"({"name":"v","mountPath":"/m"})");
    editor.SetResource(kFirst, PodEditor::Section::kRequests, "x/y", 3000);
  };
  ask();
  const std::size_t operations = editor.patch().size();
  ask();
  EXPECT_EQ(editor.patch().size(), operations);
}

TEST(PodEditor, QuantitiesAreComparedByValue) {
  PodView pod = OneContainer();
  pod.containers[0].has_resources = true;
  pod.containers[0].limits = Quantities{{"x/y", "3k"}};
  PodEditor editor(std::move(pod));
  editor.SetResource(kFirst, PodEditor::Section::kLimits, "x/y", 3000);
  EXPECT_THAT(editor.patch(), IsEmpty());
}

TEST(PodEditor, TheLastOfDoubledVariablesKeepsItsPlace) {
  PodView pod = OneContainer();
  pod.containers[0].env = std::vector<EnvVar>{{"A", "1", R"({"name":"A","value":"1"})"},
                                              {"B", "2", R"({"name":"B","value":"2"})"},
                                              {"A", "3", R"({"name":"A","value":"3"})"}};
  PodEditor editor(std::move(pod));
  editor.SetEnv(kFirst, "A", R"({"name":"A","value":"4"})");
  EXPECT_THAT(editor.patch(), ElementsAre(Operation{"replace", "/spec/containers/0/env/2",
                                                    R"({"name":"A","value":"4"})"},
                                          Operation{"remove", "/spec/containers/0/env/0", ""}));
}

TEST(PodEditor, MountsAreFoundByWhatTheirPathMeans) {
  PodView pod = OneContainer();
  pod.containers[0].mounts = std::vector<VolumeMount>{
      {"old", "/run//tessera/", R"({"name":"old","mountPath":"/run//tessera/"})"}};
  PodEditor editor(std::move(pod));
  editor.SetMount(kFirst, "/run/tessera", "new", R"({"name":"new","mountPath":"/run/tessera"})");
  EXPECT_THAT(editor.patch(),
              ElementsAre(Operation{"replace", "/spec/containers/0/volumeMounts/0",
                                    R"({"name":"new","mountPath":"/run/tessera"})"}));
}

TEST(PodEditor, RemovingVolumesKeepsTheIndexesOfTheRestRight) {
  PodView pod = OneContainer();
  pod.volumes = std::vector<Volume>{{"x1", "{}"}, {"keep", "{}"}, {"x2", "{}"}};
  PodEditor editor(std::move(pod));
  editor.RemoveVolumes([](std::string_view name) { return name.starts_with("x"); });
  EXPECT_THAT(editor.patch(), ElementsAre(Operation{"remove", "/spec/volumes/2", ""},
                                          Operation{"remove", "/spec/volumes/0", ""}));
  ASSERT_EQ(editor.pod().volumes->size(), 1U);
  EXPECT_EQ(editor.pod().volumes->front().name, "keep");
}

TEST(PodEditor, AnInsertedInitContainerMovesTheOthers) {
  PodView pod = OneContainer();
  pod.init_containers.emplace().emplace_back().name = "first";
  PodEditor editor(std::move(pod));
  Container installer;
  installer.name = "installer";
  editor.InsertFirstInitContainer(installer, R"({"name":"installer"})");
  editor.SetEnv({.list = ContainerList::kInit, .index = 1}, "A", R"({"name":"A"})");
  EXPECT_EQ(editor.patch().back().path, "/spec/initContainers/1/env/-");
  EXPECT_EQ(editor.pod().init_containers->at(1).name, "first");
}

TEST(PodEditor, RemovingAResourceThatIsNotThereIsNothing) {
  PodEditor editor(OneContainer());
  editor.RemoveResource(kFirst, PodEditor::Section::kLimits, "x/y");
  EXPECT_THAT(editor.patch(), IsEmpty());
}

}  // namespace
}  // namespace tessera::webhook
