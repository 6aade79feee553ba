; The two outer levels of keys.
(document (block_node (block_mapping (block_mapping_pair key: (_) @name) @definition.property)))
(document (block_node (block_mapping (block_mapping_pair
  value: (block_node (block_mapping (block_mapping_pair key: (_) @name) @definition.property))))))
(comment) @above
