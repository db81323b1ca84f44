#pragma once

/// For data that every allocation touches, whichever file it belongs to: side by side, in two pages
/// instead of six. After a call of a real driver none of it is near, and each page and each cache
/// line costs. TESSERA_HOT_WORD: for single words, which share a line.
#define TESSERA_HOT gnu::section("tessera_hot")
#define TESSERA_HOT_WORD gnu::section("tessera_hot_words")
