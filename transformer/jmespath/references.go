package jmespath

import (
	"slices"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"

	"slipstream/transformer/path"
)

// references collects what an expression looks at in the root value.
func references(root parsing.ASTNode) []path.Path {
	var c collector
	c.visit(root, path.Path{})
	slices.SortFunc(c.found, func(a, b path.Path) int { return slices.Compare(a, b) })
	return slices.CompactFunc(c.found, func(a, b path.Path) bool { return slices.Equal(a, b) })
}

type collector struct{ found []path.Path }

// visit adds what a node looks at, given the path of the current value, and returns the path of its result if that is a
// part of the root value; the caller adds that path when nothing narrower is taken from it.
func (c *collector) visit(node parsing.ASTNode, at path.Path) {
	if result, ok := c.follow(node, at); ok {
		c.found = append(c.found, slices.Clone(result))
	}
}

func (c *collector) follow(node parsing.ASTNode, at path.Path) (path.Path, bool) {
	switch node.NodeType {
	case parsing.ASTIdentity, parsing.ASTCurrentNode:
		return at, true
	case parsing.ASTField:
		// Paths share memory: at any time those in use lengthen one another, and the ones kept are copies.
		return append(at, node.Value.(string)), true
	case parsing.ASTSubexpression, parsing.ASTPipe:
		left, ok := c.follow(node.Children[0], at)
		if !ok {
			return nil, false // the left side computes something; the right side looks at that
		}
		return c.follow(node.Children[1], left)
	case parsing.ASTIndexExpression, parsing.ASTProjection, parsing.ASTFilterProjection, parsing.ASTValueProjection,
		parsing.ASTFlatten:
		c.visit(node.Children[0], at) // the rest looks at elements
		return nil, false
	case parsing.ASTLiteral, parsing.ASTExpRef:
		return nil, false
	}
	for _, child := range node.Children {
		c.visit(child, at)
	}
	return nil, false
}
