// The output, planned before a byte is written: tensors in write order, cut into shards, each with its place in its
// file.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "tensor/tensor.h"

namespace modelslim {

struct OutputTensor {
  std::string name;
  DType dtype;
  Shape shape;
  std::string type;  // its entry in the description ("W8A8", "FLOAT"); empty: not listed there
  int unit = 0;  // which unit of work writes it: a block's index, or the number of blocks for what is outside of them
  std::string file = {};  // of its own, beside the weights ("optional/quarot.safetensors"); empty: among the weights
  // Filled in by LayOut.
  int shard = 0;
  uint64_t offset = 0;  // from the start of the shard file

  uint64_t bytes() const { return static_cast<uint64_t>(NumElements(shape)) * DTypeSize(dtype); }
};

struct OutputShard {
  std::string file;
  std::string header;  // length prefix and padded JSON: what the file starts with
  uint64_t size = 0;   // of the whole file
};

struct OutputLayout {
  std::vector<OutputTensor> tensors;
  std::vector<OutputShard> shards;                // of the weights, then the files beside them
  size_t weight_shards = 0;                       // how many of these hold weights
  std::string index_file;                         // empty: the weights are one file without an index
  std::unordered_map<std::string, size_t> index;  // name -> position in tensors
  uint64_t total_size = 0;                        // bytes of the weights' tensors, without headers

  const OutputTensor* Find(const std::string& name) const;
};

// How the weight files of an output are named.
struct ShardNames {
  std::string stem;      // STEM.safetensors, STEM-00001-of-00003.safetensors, STEM.safetensors.index.json
  int64_t part_gib = 4;  // 0: one file and no index
};

// Cuts the tensors into shards as the reference does: a tensor that would bring a shard to part_gib GiB or more opens
// the next one; tensors are never split. Tensors with a file of their own are written to that one, under the same
// name, and are in no index. Inside a file tensors are sorted by dtype, then name. Throws Error(kUnexpected) on a name
// that occurs twice.
OutputLayout LayOut(std::vector<OutputTensor> tensors, const ShardNames& names);

// STEM.safetensors.index.json, in write order.
std::string IndexJson(const OutputLayout& layout);

}  // namespace modelslim
